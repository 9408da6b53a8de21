//go:build release

package release

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReproducible builds the same commit again as somebody else would: at
// another path, with nothing in Go's cache, other settings of Go, another umask,
// time zone and language.
func TestReproducible(t *testing.T) {
	other := filepath.Join(t.TempDir(), "somewhere", "else")
	command(t, "mkdir", "-p", other)
	// The work tree as it is, with changes that are not committed.
	copied := exec.Command("bash", "-euo", "pipefail", "-c", `umask 077
		git ls-files -z --cached --others --exclude-standard |
			tar --create --ignore-failed-read --null --files-from=- | tar --extract --no-same-permissions --directory "$1"
		cp -R .git "$1"`, "bash", other)
	copied.Dir = top
	if output, err := copied.CombinedOutput(); err != nil {
		t.Fatalf("copying the work tree: %v\n%s", err, output)
	}
	out := filepath.Join(t.TempDir(), "dist")
	goenv := filepath.Join(t.TempDir(), "goenv")
	write(t, goenv, "GOFLAGS=-tags=elsewhere -buildvcs=false\n", 0o644)
	again := exec.Command("sh", "-ec", `umask 077; exec go run ./packaging/release -out "$1"`, "sh", out)
	again.Dir = other
	again.Env = append(os.Environ(), "GOCACHE="+filepath.Join(t.TempDir(), "cache"), "TZ=Pacific/Chatham", "LC_ALL=C", "GOENV="+goenv, "GOFLAGS=")
	if output, err := again.CombinedOutput(); err != nil {
		t.Fatalf("building in %s: %v\n%s", other, err, output)
	}
	if different := differences(t, dist, out); len(different) > 0 {
		t.Errorf("the second build differs in %s", strings.Join(different, ", "))
	}
}

// TestSize keeps the programs small: keepalived starts one every second.
func TestSize(t *testing.T) {
	const most = 12_000_000
	for _, arch := range arches {
		info, err := os.Stat(filepath.Join(unpacked(t, arch), "usr/bin/hacheck"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > most {
			t.Errorf("%s: the program has %d bytes, more than %d", arch, info.Size(), most)
		}
		t.Logf("%s: %d bytes of %d", arch, info.Size(), most)
	}
}

// TestReleaseIsATag: the version is the tag's, and a release is built from a
// commit and nothing else.
func TestReleaseIsATag(t *testing.T) {
	clone := filepath.Join(t.TempDir(), "clone")
	command(t, "git", "clone", "--quiet", "--no-tags", top, clone)
	release := func(args ...string) (string, error) {
		cmd := exec.Command("go", append([]string{"run", "./packaging/release"}, args...)...)
		cmd.Dir = clone
		output, err := cmd.CombinedOutput()
		return string(output), err
	}
	for _, c := range []struct{ tag, version string }{{"v1.2.3-rc.1", "1.2.3~rc.1"}, {"v1.2.3", "1.2.3"}} {
		command(t, "git", "-C", clone, "tag", "--force", c.tag)
		if output, err := release("-show-version"); err != nil || output != c.version+"\n" {
			t.Errorf("at the tag %s the version is %s, %v", c.tag, output, err)
		}
		command(t, "git", "-C", clone, "tag", "--delete", c.tag)
	}
	write(t, filepath.Join(clone, "new"), "", 0o644)
	out := filepath.Join(t.TempDir(), "dist")
	output, err := release("-clean", "-out", out)
	if err == nil || !strings.HasPrefix(output, "release: the work tree has changes that are not committed: a release is built from a commit\n") {
		t.Errorf("built from a work tree with changes: %v, %s", err, output)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a build that is refused leaves its folder")
	}
}

func TestWhatIsPublished(t *testing.T) {
	entries, err := os.ReadDir(dist)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, strings.ReplaceAll(entry.Name(), version, "V"))
	}
	want := []string{
		"CHANGES.md", "SHA256SUMS",
		"hacheck-V-1.aarch64.rpm", "hacheck-V-1.x86_64.rpm",
		"hacheck_V-1_amd64.deb", "hacheck_V-1_arm64.deb",
		"hacheck_V_linux_amd64.cdx.json", "hacheck_V_linux_amd64.tar.gz",
		"hacheck_V_linux_arm64.cdx.json", "hacheck_V_linux_arm64.tar.gz",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = dist
	output, err := check.CombinedOutput()
	if err != nil || strings.Count(string(output), ": OK\n") != len(want)-1 {
		t.Errorf("sha256sum --check: %v\n%s", err, output)
	}
	if notes := read(t, filepath.Join(dist, "CHANGES.md")); !strings.HasPrefix(notes, "# hacheck "+version+"\n\n- ") {
		t.Errorf("CHANGES.md is no list of changes:\n%s", notes)
	}
}

// TestProgramTellsWhatItIs: version, commit, Go and modules, in the program and
// alike in the bill of materials.
func TestProgramTellsWhatItIs(t *testing.T) {
	commit := exec.Command("git", "rev-parse", "HEAD")
	commit.Dir = top
	head, err := commit.Output()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(unpacked(t, "amd64"), "usr/bin/hacheck")
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	said := command(t, program, "version")
	for _, want := range []string{
		"hacheck " + version + " (" + info.GoVersion + ", linux/amd64)\n",
		"commit " + strings.TrimSpace(string(head)),
		"module github.com/spf13/cobra v",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("hacheck version says no %q:\n%s", want, said)
		}
	}

	var bill struct {
		BOMFormat, SpecVersion, SerialNumber string
		Metadata                             struct {
			Component struct{ Name, Version, PURL string }
		}
		Components []struct {
			Name, Version, PURL string
			Licenses            []struct{ License struct{ ID string } }
		}
		Dependencies []struct {
			Ref       string
			DependsOn []string
		}
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(dist, "hacheck_"+version+"_linux_amd64.cdx.json"))), &bill); err != nil {
		t.Fatal(err)
	}
	if bill.BOMFormat != "CycloneDX" || bill.Metadata.Component.Name != "hacheck" || bill.Metadata.Component.Version != version {
		t.Errorf("the bill of materials is about %+v", bill.Metadata)
	}
	escaped := func(version string) string { return strings.ReplaceAll(version, "+", "%2B") }
	if got, want := bill.Metadata.Component.PURL, "pkg:golang/hacheck@"+escaped(version)+"?goarch=amd64&goos=linux"; got != want {
		t.Errorf("hacheck's purl is %s, want %s", got, want)
	}
	listed := map[string]bool{}
	for _, component := range bill.Components {
		listed[component.Name+" "+component.Version] = true
		if want := "pkg:golang/" + component.Name + "@" + escaped(component.Version); component.PURL != want {
			t.Errorf("the purl of %s is %s, want %s", component.Name, component.PURL, want)
		}
		if len(component.Licenses) != 1 || component.Licenses[0].License.ID == "" {
			t.Errorf("%s has no licence", component.Name)
		}
	}
	for _, dep := range info.Deps {
		if !listed[dep.Path+" "+dep.Version] {
			t.Errorf("the bill of materials lacks %s %s, which is in the program", dep.Path, dep.Version)
		}
		if !strings.Contains(said, "module "+dep.Path+" "+dep.Version+"\n") {
			t.Errorf("hacheck version says nothing of %s %s:\n%s", dep.Path, dep.Version, said)
		}
	}
	if got := len(bill.Components); got != len(info.Deps)+1 {
		t.Errorf("%d components for %d modules and the standard library", got, len(info.Deps))
	}
	if len(bill.Dependencies) != len(bill.Components)+1 {
		t.Errorf("%d of %d components say what they depend on", len(bill.Dependencies), len(bill.Components)+1)
	}
}
