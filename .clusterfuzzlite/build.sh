#!/bin/bash -eu
# Every target, with its seeds; the actors are processes of their own, so no
# sanitizer watches anything but the director.
cd "$SRC/ipcspec"
cargo fuzz build --sanitizer none -O
host=$(rustc -vV | sed -n 's/^host: //p')
for target in fuzz/fuzz_targets/*.rs; do
    name=$(basename "$target" .rs)
    [ "$name" = must_fail ] && continue
    cp "target/$host/release/$name" "$OUT/"
    if [ -d "fuzz/seeds/$name" ]; then
        (cd "fuzz/seeds/$name" && zip -q "$OUT/${name}_seed_corpus.zip" ./*)
    fi
done
