#!/usr/bin/env bash
# What runs on the card, one stage per call; see README.md for the order.
#   card.sh start SECONDS [WAIT]  install, copy the code, and go on with the extender, which ends after SECONDS,
#                                 and with the denoiser, which ends earlier; wait, and show how they do
#   card.sh part [NAME]     add the part that has just arrived; begin training NAME, with the options in $more
#   card.sh watch SECONDS   wait, then print the progress of the trainings
#   card.sh collect DIR NAME...  collect what these trainings have written, in files of at most 15 MiB
#   card.sh smoke SECONDS   run every training for some seconds on the mini part, to test the capture
set -u
CARD=/tmp/card
export PYTHONPATH=/tmp/site PYTHONUNBUFFERED=1 CUDA_MODULE_LOADING=LAZY
export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:False OMP_NUM_THREADS=4
stage=$1

install() {
  python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target /tmp/site .whl/*.whl || exit 1
  mkdir -p $CARD/data $CARD/out
  rm -rf $CARD/code && mkdir -p $CARD/code && cp -r aural tools $CARD/code/
  cp .card/responses.npz $CARD/ 2>/dev/null
}

take() { # a part is complete the moment it appears
  for part in .card/data/part*; do
    [ -d "$part" ] && [ ! -d "$CARD/data/$(basename "$part")" ] && mv "$part" "$CARD/$(basename "$part").new" && mv "$CARD/$(basename "$part").new" "$CARD/data/$(basename "$part")"
  done
  ls $CARD/data
}

left() { echo $(($(cat $CARD/deadline) - $(date +%s))); }

begin() { # name seconds data [more]
  local name=$1 seconds=$2 data=$3
  shift 3
  (cd $CARD/code && setsid nohup python3 -m "tools.card.$name" --data "$data" --out $CARD/out --seconds "$seconds" "$@" \
    >"$CARD/out/${log:-$name}.txt" 2>&1 </dev/null &)
}

show() {
  for log in $CARD/out/*.txt; do echo "== $(basename "$log")"; tail -n "${1:-4}" "$log" | cut -c1-600; done
  for log in $CARD/out/*.log; do [ -f "$log" ] && echo "-- $(basename "$log"): $(tail -n 1 "$log" | cut -c1-500)"; done
  nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader
}

case $stage in
start)
  mkdir -p $CARD && echo $(($(date +%s) + $2)) >$CARD/deadline
  install && take
  cp -r .card/weights $CARD/
  begin extender "$(left)" $CARD/data --responses $CARD/responses.npz --weights $CARD/weights/extender.safetensors \
    --look-ahead 4 --width 256 --batch 16 --discriminator-width 16 --discriminated-items 8 --learning-rate 8e-4
  begin denoiser $(($(left) * 6 / 10)) $CARD/data --weights $CARD/weights/denoiser.safetensors --learning-rate 1.5e-3
  sleep "${3:-1}" && nvidia-smi -L && show 3
  ;;
part)
  take
  for name in "${@:2}"; do begin "$name" "$(left)" $CARD/data ${more-}; done
  show 3
  ;;
watch) sleep "$2" && show 3 ;;
smoke)
  install
  begin extender "$2" "$PWD/.card/mini" --responses $CARD/responses.npz --bank-seconds 2000
  begin vocoder "$2" "$PWD/.card/mini"
  begin denoiser "$2" "$PWD/.card/mini"
  begin generator "$2" "$PWD/.card/mini" --clips 30
  for _ in $(seq 1 12); do sleep 5; pgrep -f 'python3 -m tools.card' >/dev/null || break; done
  show 30
  ;;
collect)
  out=$2 && mkdir -p "$out" && cd $CARD/out && shift 2
  for name in "$@"; do
    [ -f "$name.safetensors" ] && rm -f "$name".partial.*
    ls "$name".*
  done | tar cf - -T - | split -b 15m -d - "$out/out.tar."
  ls -la "$out" . | cut -c24-
  show 2
  ;;
esac
