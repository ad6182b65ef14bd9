# Workers that push bytes through pipes while their memory is taken without warning. Whoever loses a page that it needs
# ends by SIGBUS, and says nothing; a sum that is printed is right, because every program of its pipe ended well.

set -o pipefail

work() {
    round=1
    while [ $round -le 8 ]; do
        if sum=$(dd if=/dev/zero bs=65536 count=3 2>/dev/null | cat | md5sum); then
            echo "sum $sum"
        else
            echo "cut short"
        fi
        round=$((round + 1))
    done
}

for shift in 1 2 3; do
    work &
    work &
    work &
    wait
    echo "shift $shift is over"
done
