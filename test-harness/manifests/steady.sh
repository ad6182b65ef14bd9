# Works on two cores for a while: pipes and background jobs over one text, and a line for the console.

sort input | md5sum > sum.1 &
sed 's/a/b/g' input | md5sum > sum.2 &
awk '{ print NF }' input | sort -n | uniq -c | wc -l > sum.3 &
wait
echo "all three are done: $(cat sum.1 sum.2 sum.3 | wc -c) bytes"
