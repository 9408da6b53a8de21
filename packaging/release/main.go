// Command release builds what is published of hacheck into one folder: for each
// platform a binary in an archive, a deb, an rpm and a list of what is inside
// (SBOM), and for all of them checksums and the changelog's section. Run it at
// the top of the repository:
//
//	go run ./packaging/release -out dist
//
// Everything is a function of the commit and of Go's release: two builds give the
// same bytes.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	out := flag.String("out", "dist", "folder for what is built; what was in it is removed")
	version := flag.String("version", "", "version instead of the one git knows, as 1.2.3 or 1.2.3~rc.1")
	clean := flag.Bool("clean", false, "refuse to build from a work tree with changes")
	showVersion := flag.Bool("show-version", false, "print the version and build nothing")
	platforms := flag.String("platforms", "amd64,arm64", "architectures to build for")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *version, strings.Split(*platforms, ","), *clean, *showVersion); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, version string, arches []string, clean, showVersion bool) error {
	source, err := identify(ctx)
	if err != nil {
		return err
	}
	if version != "" {
		source.version = version
	}
	if showVersion {
		fmt.Println(source.version)
		return nil
	}
	if clean && source.dirty {
		return errors.New("the work tree has changes that are not committed: a release is built from a commit")
	}
	// Whoever builds it: what the build does not set itself must not differ. To Go
	// an empty variable is none, and it asks the file that GOENV names.
	for name, value := range map[string]string{
		"SOURCE_DATE_EPOCH": fmt.Sprint(source.date.Unix()),
		"CGO_ENABLED":       "0", "GOOS": "linux", "GOAMD64": "v1", "GOARM64": "v8.0",
		"GOENV": "off", "GOFLAGS": "", "GOWORK": "off", "GOEXPERIMENT": "", "GOFIPS140": "off",
		"TZ": "UTC", "LC_ALL": "C.UTF-8",
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	b := &build{source: source, out: out}
	if b.stage, err = os.MkdirTemp("", "hacheck-release-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.stage)
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	if err := b.documents(ctx); err != nil {
		return err
	}
	for _, arch := range arches {
		if err := b.platform(ctx, arch); err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
	}
	if err := b.checksums(); err != nil {
		return err
	}
	fmt.Printf("hacheck %s is in %s\n", source.version, out)
	return nil
}

// build is one run: from where, and where to.
type build struct {
	source source
	out    string
	stage  string // what is made on the way
	nfpm   string // the packager's program
	// notes is the changelog's section of this version.
	notes string
}

// checksums writes SHA256SUMS over all that was built.
func (b *build) checksums() error {
	entries, err := os.ReadDir(b.out)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, entry := range entries {
		file, err := os.Open(filepath.Join(b.out, entry.Name()))
		if err != nil {
			return err
		}
		hash := sha256.New()
		_, err = io.Copy(hash, file)
		file.Close()
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", hash.Sum(nil), entry.Name())
	}
	return os.WriteFile(filepath.Join(b.out, "SHA256SUMS"), []byte(sums.String()), 0o644)
}

// output runs a command and gives its standard output.
func output(ctx context.Context, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(command, " "), err, stdout, stderr.String())
	}
	return strings.TrimSpace(string(stdout)), nil
}

// withEnv is output with some variables set.
func withEnv(ctx context.Context, env []string, command ...string) (string, error) {
	return output(ctx, slices.Concat([]string{"env"}, env, command)...)
}
