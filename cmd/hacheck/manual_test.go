package main

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hacheck/config"
	"hacheck/packaging/manual"
)

var manualDir = flag.String("manual", "", "write the man pages into this folder, dated by $SOURCE_DATE_EPOCH")

// TestManual makes the man pages from the commands and settings there are. The
// release build calls it with -manual, which keeps the writer out of the
// program.
func TestManual(t *testing.T) {
	var date time.Time
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			t.Fatalf("SOURCE_DATE_EPOCH: %v", err)
		}
		date = time.Unix(seconds, 0)
	}
	a := &app{stdout: os.Stdout, stderr: os.Stderr}
	root := a.rootCommand()
	pages := append(manual.Commands(root, date), manual.Configuration(config.Reference(), date))
	names := map[string]bool{}
	for _, page := range pages {
		names[page.File] = true
		text := string(page.Text)
		if strings.Contains(text, `\- `+"\n") || !strings.Contains(text, ".SH \"NAME\"\n") {
			t.Errorf("%s: no line says what it is about", page.File)
		}
		if *manualDir != "" {
			if err := os.WriteFile(filepath.Join(*manualDir, page.File), page.Text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, command := range root.Commands() {
		if file := "hacheck-" + command.Name() + ".1"; !command.Hidden && command.Name() != "help" && !names[file] {
			t.Errorf("%s is missing", file)
		}
	}
	for _, file := range []string{"hacheck.1", "hacheck-config-check.1", "hacheck.yaml.5"} {
		if !names[file] {
			t.Errorf("%s is missing", file)
		}
	}
}
