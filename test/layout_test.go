// Package test holds what concerns the project as a whole: the rule of who may
// import whom, the two-node lab and the demo.
package test

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport says for each package which others of the module it may import.
// What a package knows is kept by what it cannot reach: a check knows no
// configuration file, a channel knows no other channel.
var mayImport = map[string][]string{
	"hacheck/regular": {},
	"hacheck/haproxy": {},
	// Runs a real HAProxy for the tests of those who ask one.
	"hacheck/haproxy/haproxytest": {},
	"hacheck/keepalived":          {},
	"hacheck/checks":              {"hacheck/haproxy"},
	"hacheck/notify":              {"hacheck/notify/template"},
	"hacheck/notify/secret":       {"hacheck/regular"},
	// Knows nothing of what is notified.
	"hacheck/notify/template": {},
	"hacheck/notify/email":    {"hacheck/notify", "hacheck/notify/secret"},
	"hacheck/notify/webhook":  {"hacheck/notify", "hacheck/notify/secret"},
	"hacheck/notify/journal":  {"hacheck/notify"},
	"hacheck/notify/exec":     {"hacheck/notify"},
	"hacheck/notify/spool":    {"hacheck/notify"},
	// The contract every channel is tested against.
	"hacheck/notify/notifytest": {"hacheck/notify"},
	"hacheck/config": {
		"hacheck/regular", "hacheck/checks", "hacheck/haproxy", "hacheck/notify", "hacheck/notify/email",
		"hacheck/notify/webhook", "hacheck/notify/journal", "hacheck/notify/exec", "hacheck/notify/secret", "hacheck/notify/spool",
	},
	"hacheck/cmd/hacheck": {
		"hacheck/checks", "hacheck/config", "hacheck/keepalived", "hacheck/notify",
		"hacheck/notify/journal", "hacheck/notify/spool",
	},
	// Only a test of the command has to do with it: the program carries no manual.
	"hacheck/packaging/manual":  {"hacheck/config"},
	"hacheck/packaging/release": {},
	"hacheck/test":              {},
	"hacheck/test/contributing": {},
	"hacheck/test/demo":         {},
	"hacheck/test/docs":         {},
	"hacheck/test/lab":          {"hacheck/notify"},
	"hacheck/test/release":      {},
	"hacheck/bench":             {},
	"hacheck/bench/empty":       {},
}

func TestImportDirections(t *testing.T) {
	command := exec.Command("go", "list", "-tags", "lab", "-json=ImportPath,Imports", "hacheck/...")
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(output)))
	seen := 0
	for {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&pkg); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		allowed, listed := mayImport[pkg.ImportPath]
		if !listed {
			t.Errorf("%s is new: say in mayImport what it may import", pkg.ImportPath)
			continue
		}
		for _, imported := range pkg.Imports {
			if strings.HasPrefix(imported, "hacheck/") && !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s, which it must not know", pkg.ImportPath, imported)
			}
		}
	}
	if seen != len(mayImport) {
		t.Errorf("go list shows %d packages, mayImport has %d: remove what is gone", seen, len(mayImport))
	}
}
