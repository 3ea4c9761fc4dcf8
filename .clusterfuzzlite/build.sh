#!/bin/bash -eu
# Every target but the one that must fail, with its seeds. The actors are
# processes of their own, so a sanitizer would watch nobody but the director.
cd "$SRC/ipcspec"
# What the base image sets is for sanitizers, and for its own libFuzzer.
unset CFLAGS CXXFLAGS RUSTFLAGS
cargo fuzz build --sanitizer none --no-trace-compares
host=$(rustc -vV | sed -n 's/^host: //p')
for file in fuzz/fuzz_targets/*.rs; do
    target=$(basename "$file" .rs)
    [ "$target" != must_fail ] || continue
    cp "target/$host/release/$target" "$OUT/"
    printf '[libfuzzer]\nmax_len = 1024\nlen_control = 0\nrss_limit_mb = 0\ntimeout = 60\n' > "$OUT/$target.options"
    # A race begins with the programs of its mechanism.
    seeds=fuzz/seeds/${target%_race}
    if [ -d "$seeds" ]; then
        zip -qj "$OUT/${target}_seed_corpus.zip" "$seeds"/*
    fi
done
