package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// maintainer stands in the packages.
const maintainer = "hacheck maintainers <maintainers@hacheck.invalid>"

// documents makes what is the same on every platform. All is built with -trimpath,
// so that what is compiled for one program serves the others.
func (b *build) documents(ctx context.Context) error {
	var err error
	if b.nfpm, err = filepath.Abs(filepath.Join(b.stage, "nfpm")); err != nil {
		return err
	}
	if _, err := withEnv(ctx, []string{"GOARCH=" + runtime.GOARCH},
		"go", "build", "-C", "packaging/nfpm", "-trimpath", "-o", b.nfpm, "github.com/goreleaser/nfpm/v2/cmd/nfpm"); err != nil {
		return err
	}
	if err := b.manual(ctx); err != nil {
		return err
	}
	if err := b.completions(ctx); err != nil {
		return err
	}
	changelog, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return err
	}
	if err := b.writeGzip("changelog.gz", changelog); err != nil {
		return err
	}
	if b.notes, err = section(string(changelog), b.source.version); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.out, "CHANGES.md"), []byte("# hacheck "+b.source.version+"\n\n"+b.notes), 0o644); err != nil {
		return err
	}
	if len(items(b.notes)) == 0 {
		return errors.New("CHANGELOG.md: the section of this version has no list of changes")
	}
	if err := b.writeGzip("changelog.Debian.gz", debChangelog(b.source, b.notes)); err != nil {
		return err
	}
	entry, err := rpmChangelog(b.source, b.notes)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.stage, "changelog.yaml"), entry, 0o644)
}

// manual makes the man pages by a test of the command, because only package main
// has the commands and the program itself must not carry their writer.
func (b *build) manual(ctx context.Context) error {
	dir := filepath.Join(b.stage, "man")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if _, err := withEnv(ctx, []string{"GOARCH=" + runtime.GOARCH},
		"go", "test", "-trimpath", "-vet=off", "-count=1", "-run", "^TestManual$", "./cmd/hacheck", "-manual", dir); err != nil {
		return err
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.[15]"))
	if err != nil {
		return err
	}
	if len(pages) == 0 {
		return fmt.Errorf("TestManual in cmd/hacheck wrote no man page")
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			return err
		}
		if err := b.writeGzip(filepath.Join("man", filepath.Base(page)+".gz"), text); err != nil {
			return err
		}
		if err := os.Remove(page); err != nil {
			return err
		}
	}
	return nil
}

// completions asks the program for them, built for this machine.
func (b *build) completions(ctx context.Context) error {
	program := filepath.Join(b.stage, "hacheck-here")
	if err := b.compile(ctx, runtime.GOARCH, program); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(b.stage, "completion"), 0o755); err != nil {
		return err
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		script, err := output(ctx, program, "completion", shell)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.stage, "completion", "hacheck."+shell), []byte(script+"\n"), 0o644); err != nil {
			return err
		}
	}
	return os.Remove(program)
}

func (b *build) compile(ctx context.Context, arch, program string) error {
	_, err := withEnv(ctx, []string{"GOARCH=" + arch}, "go", "build", "-trimpath", "-buildvcs=true", "-tags", "nethttpomithttp2",
		"-ldflags", "-s -w -X main.version="+b.source.version, "-o", program, "./cmd/hacheck")
	return err
}

// platform builds the program and everything around it for one architecture.
func (b *build) platform(ctx context.Context, arch string) error {
	program := filepath.Join(b.stage, "hacheck")
	if err := b.compile(ctx, arch, program); err != nil {
		return err
	}
	name := fmt.Sprintf("hacheck_%s_linux_%s", b.source.version, arch)

	inside, err := modulesOf(ctx, program)
	if err != nil {
		return err
	}
	bill, err := json.MarshalIndent(inside.bill(b.source, arch), "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.out, name+".cdx.json"), append(bill, '\n'), 0o644); err != nil {
		return err
	}
	if err := b.writeGzip("third-party-licenses.gz", inside.notices()); err != nil {
		return err
	}

	files := []archived{
		{from: program, name: "hacheck", mode: 0o755},
		{from: "LICENSE", name: "LICENSE", mode: 0o644},
		{from: "README.md", name: "README.md", mode: 0o644},
		{from: "README.zh-CN.md", name: "README.zh-CN.md", mode: 0o644},
		{from: "CHANGELOG.md", name: "CHANGELOG.md", mode: 0o644},
		{from: "packaging/hacheck.yaml", name: "hacheck.yaml", mode: 0o644},
		{from: filepath.Join(b.stage, "third-party-licenses.gz"), name: "third-party-licenses.gz", mode: 0o644},
	}
	if err := writeArchive(filepath.Join(b.out, name+".tar.gz"), name, files, b.source.date); err != nil {
		return err
	}
	for _, format := range []string{"deb", "rpm"} {
		env := []string{
			"STAGE=" + b.stage, "ARCH=" + arch, "VERSION=" + b.source.version, "MAINTAINER=" + maintainer,
		}
		if err := b.packageAs(ctx, format, env); err != nil {
			return err
		}
	}
	return nil
}

// packageAs makes one package. nfpm expands variables everywhere but in
// changelog's path, so the file is made for it.
func (b *build) packageAs(ctx context.Context, format string, env []string) error {
	settings, err := os.ReadFile("packaging/nfpm.yaml")
	if err != nil {
		return err
	}
	changelog := ""
	if format == "rpm" {
		changelog = filepath.Join(b.stage, "changelog.yaml")
	}
	changed := strings.Replace(string(settings), "${CHANGELOG}", changelog, 1)
	file := filepath.Join(b.stage, "nfpm.yaml")
	if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
		return err
	}
	_, err = withEnv(ctx, env, b.nfpm, "package", "--config", file, "--packager", format, "--target", b.out)
	return err
}

// writeGzip puts a compressed file into the stage: without name and time, so
// that it is the same every time.
func (b *build) writeGzip(name string, content []byte) error {
	var compressed bytes.Buffer
	w, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.stage, name), compressed.Bytes(), 0o644)
}
