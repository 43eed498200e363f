# shellcheck shell=bash
# Archives: from the network or a local folder, whole and with the right check sum or not at all.
# Sourced after lib.sh. An archive is "NAME URL BYTES SUM"; SUM is sha256:..., md5:... or - where
# nobody has published one.

# fetch NAME URL BYTES SUM: the archive, checked, in OUT/download.
fetch() {
    local name=$1 url=$2 bytes=$3 sum=$4 target=$OUT/download/$1
    finished "$target" && return
    if [[ -n $DATA ]]; then
        [[ -n $DRY_RUN || -f $DATA/$name ]] || die "DATA=$DATA: no $name there."
        check "$DATA/$name" "$name" "$bytes" "$sum" ||
            die "$DATA/$name is damaged or incomplete. Fetch it again."
        run ln -s "$(cd "$DATA" && pwd)/$name" "$target"
        return
    fi
    note "downloading $name ($(megabytes "$bytes"))"
    if [[ $(size "$target.partial") != "$bytes" ]]; then
        download "${MIRROR:+$MIRROR/$name}" "$url" "$target.partial"
    fi
    if ! check "$target.partial" "$name" "$bytes" "$sum"; then
        rm "$target.partial"
        die "$name is removed. Run again: it is fetched anew."
    fi
    run mv "$target.partial" "$target"
}

# download MIRRORED URL FILE: go on where an earlier download stopped, or start over.
download() {
    local from=${1:-$2} file=$3 status=0 code
    if [[ -n $DRY_RUN ]]; then
        run curl --fail --location --retry 3 --continue-at - --output "$file" "$from"
        return
    fi
    [[ -s $file ]] && echo "going on after $(megabytes "$(size "$file")")"
    code=$(transfer "$file" "$from" --continue-at -) || status=$?
    # 33 and 416: the server cannot go on from the middle, or there is nothing after it.
    if [[ -s $file && ($status == 33 || $code == 416) ]]; then
        rm "$file"
        status=0
        code=$(transfer "$file" "$from") || status=$?
    fi
    case $status in
        0) ;;
        23) die "could not write $file: is the disk full? Free some space and run again: it goes" \
            "on where it stopped." ;;
        *) die "could not download $from (curl: $status, HTTP: ${code:-none}). Run again: it goes" \
            "on where it stopped. Or set MIRROR to another address, or DATA to a folder with it." ;;
    esac
}

# transfer FILE URL OPTIONS...: curl; prints the HTTP status.
transfer() {
    local file=$1 from=$2
    shift 2
    curl --fail --location --retry 3 --retry-delay 1 --progress-bar --write-out "%{http_code}" \
        "$@" --output "$file" "$from"
}

# check FILE NAME BYTES SUM: fails, with the reason, unless FILE is the published one.
check() {
    local file=$1 name=$2 bytes=$3 sum=$4 found
    if [[ -n $DRY_RUN ]]; then
        echo "# check $name: $(megabytes "$bytes"), $sum"
        return
    fi
    if [[ -n $CHECKSUMS ]]; then
        sum=$(awk -v name="$name" '$2 == name { print $1 }' "$CHECKSUMS")
        [[ -n $sum ]] || die "CHECKSUMS=$CHECKSUMS: has no line for $name."
        sum=sha256:$sum bytes=-
    fi
    if [[ $bytes != - && $(size "$file") != "$bytes" ]]; then
        printf 'error: %s: must have %s bytes; received %s.\n' "$name" "$bytes" "$(size "$file")" >&2
        return 1
    fi
    if [[ $sum == - ]]; then
        trust_first "$file" "$name"
        return
    fi
    found=${sum%%:*}:$(digest "${sum%%:*}" "$file")
    [[ $found == "$sum" ]] && return
    printf 'error: %s: is not the published file or only a part of it: check sum %s instead of %s.\n' \
        "$name" "$found" "$sum" >&2
    return 1
}

# trust_first FILE NAME: no published sum. Record it, and hold later downloads against the record.
trust_first() {
    local record=$OUT/download/$2.sha256 found
    python "$ROOT/scripts/extract.py" verify "$1" || return 1
    found=$(digest sha256 "$1")
    if [[ ! -e $record ]]; then
        echo "note: nobody has published a check sum of $2. It is whole; its sum, $found, is" \
            "recorded in $record, and a later download is held against it."
        run_to "$record" echo "$found  $2"
    elif [[ $(<"$record") != "$found  $2" ]]; then
        printf 'error: %s: differs from the one fetched first, whose sum is in %s.\n' \
            "$2" "$record" >&2
        return 1
    fi
}

digest() {
    case $1 in
        md5) if command -v md5sum >/dev/null; then md5sum "$2"; else md5 -r "$2"; fi ;;
        *) if command -v sha256sum >/dev/null; then sha256sum "$2"; else shasum -a 256 "$2"; fi ;;
    esac | cut -d " " -f 1
}

size() {
    if [[ -e $1 ]]; then wc -c <"$1" | tr -d " "; else echo 0; fi
}

megabytes() {
    if [[ $1 == - ]]; then echo "size unknown"; else echo "$(($1 / 1000000)) MB"; fi
}
