# A sort of far more than fits into memory.
awk 'BEGIN { for (n = 0; n < 3000000; n++) print n * 7919 % 1000003, "some words to make the line longer" }' | sort | tail -n 1
echo "that was it"
