# What batch works on: pipes, redirections, background jobs and nine programs over one text, `input`.
# The host runs the same script with the same busybox; every byte of output must be the same.

echo "lines, words, bytes:"
wc < input

echo "the ten most frequent words:"
cat input | sed 's/[^A-Za-z]/\n/g' | grep -v '^$' | sort | uniq -c | sort -k1,1nr -k2 > words
sed 10q words

echo "how long the words are:"
awk '{ count[length($2)] += $1 } END { for (n = 1; n <= 12; n++) print n, count[n] + 0 }' words

echo "in the background, all at once:"
md5sum < input > sum.1 &
sort input | md5sum > sum.2 &
sed 's/a/b/g' input | md5sum > sum.3 &
awk '{ print NF }' input | sort -n | uniq -c | md5sum > sum.4 &
wait
cat sum.1 sum.2 sum.3 sum.4

echo "compressed and back:"
gzip -c input > input.gz
gzip -dc input.gz | md5sum
if gzip -dc input.gz | cmp - input; then echo "the same"; else echo "not the same"; fi

# So many that the demonstration's steps are over long before, on a busy host too.
round=1
while [ $round -le 80 ]; do
    part=$(awk -v round=$round 'NR % 25 == round % 25' input | sort -u | wc -l)
    echo "round $round: $part different lines"
    round=$((round + 1))
done

echo "the line that is new in every run:"
grep '^This run:' input

(echo "and a last one"; echo "through a subshell") | cat >> notes
cat notes
rm words notes sum.1 sum.2 sum.3 sum.4 input.gz
echo "done"
