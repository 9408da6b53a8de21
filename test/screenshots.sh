#!/bin/bash
# Renders the HTML of the golden messages in headless Chromium, as a light and as a
# dark client of mail shows it: a picture has a message in all its languages. The
# pictures are for eyes: nothing compares them.
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/screenshots

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
rm -rf "$out"
mkdir -p "$out"
# Chromium's numbers of what a page asks for by prefers-color-scheme.
for theme in dark=0 light=1; do
  for english in notify/testdata/golden/*.en.html; do
    message=$(basename "$english" .en.html)
    {
      echo '<!DOCTYPE html><meta name="color-scheme" content="light dark"><body style="margin:0;display:flex">'
      for page in notify/testdata/golden/"$message".*.html; do
        echo "<iframe src=\"file://$PWD/$page\" style=\"width:640px;height:2700px;border:0\"></iframe>"
      done
    } >"$scratch/sheet.html"
    picture=$out/$message.${theme%=*}.png
    # Root has no sandbox; the pages are the project's own, and have no scripts.
    if ! chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$scratch/profile" \
        --blink-settings=preferredColorScheme="${theme#*=}" --window-size=1920,2700 \
        --screenshot="$picture" "file://$scratch/sheet.html" >"$scratch/log" 2>&1 || [[ ! -s $picture ]]; then
      cat "$scratch/log" >&2
      echo "test/screenshots.sh: Chromium made no picture of $message" >&2
      exit 1
    fi
  done
done
echo "$(find "$out" -name '*.png' | wc -l) pictures are in $out"
