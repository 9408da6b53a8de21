package docs

import (
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

var packagedPattern = regexp.MustCompile(`/usr/(?:bin|libexec|share|lib)/[\w./-]*hacheck[\w./-]*|hacheck-deliver\.\w+`)

// TestPackagedFiles compares the files of the package that pages name with the
// list the packages are made by: the node of TestCommands has them from the
// repository.
func TestPackagedFiles(t *testing.T) {
	packaged := packagedFiles(t)
	seen := 0
	for _, p := range pages(t) {
		if !strings.HasPrefix(p.path, "docs/") {
			continue
		}
		for _, name := range packagedPattern.FindAllString(read(t, p.path), -1) {
			seen++
			name = strings.TrimRight(name, "./")
			if !strings.HasPrefix(name, "/") {
				name = "/usr/lib/systemd/system/" + name
			}
			if !packaged[name] {
				t.Errorf("%s names %s, which is in no package", p.path, name)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d names were found", seen)
	}
}

// packagedFiles are the files in either package, and their folders.
func packagedFiles(t *testing.T) map[string]bool {
	t.Helper()
	var nfpm struct {
		Contents []struct{ Src, Dst, Type string }
	}
	if err := yaml.Unmarshal([]byte(read(t, "packaging/nfpm.yaml")), &nfpm); err != nil {
		t.Fatal(err)
	}
	packaged := map[string]bool{}
	add := func(name string) {
		for ; name != "/"; name = path.Dir(name) {
			packaged[name] = true
		}
	}
	for _, content := range nfpm.Contents {
		if !strings.HasSuffix(content.Dst, "/") {
			add(content.Dst)
			continue
		}
		files, err := filepath.Glob(filepath.Join(repository(t), content.Src))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			add(path.Join(content.Dst, filepath.Base(file)))
		}
	}
	if len(packaged) < 30 {
		t.Fatalf("only %d files were found in packaging/nfpm.yaml", len(packaged))
	}
	return packaged
}
