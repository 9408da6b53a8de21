package contributing

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// top is the top of the repository as seen from here.
const top = "../.."

// block is a piece of code of CONTRIBUTING.md, for a file of the repository.
type block struct {
	lang, file, text string
}

var (
	notePattern  = regexp.MustCompile(`^<!-- test: file=(\S+) -->$`)
	spacePattern = regexp.MustCompile(`[ \t]+`)
	rowPattern   = regexp.MustCompile("^\\| (`[^|]+`) \\|")
	codePattern  = regexp.MustCompile("`([^`]+)`")
)

// section gives the code below a heading of CONTRIBUTING.md, and the files that
// its table says are touched.
func section(t *testing.T, heading string) (blocks []block, files []string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(top, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(content), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("CONTRIBUTING.md has no heading %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if note := notePattern.FindStringSubmatch(lines[i]); note != nil {
			i++
			b := block{file: note[1], lang: strings.TrimPrefix(lines[i], "```")}
			for i++; lines[i] != "```"; i++ {
				b.text += lines[i] + "\n"
			}
			blocks = append(blocks, b)
		} else if row := rowPattern.FindStringSubmatch(lines[i]); row != nil {
			for _, file := range codePattern.FindAllStringSubmatch(row[1], -1) {
				files = append(files, file[1])
			}
		}
	}
	return blocks, files
}

// tree is a copy of the repository with the code of some blocks in it.
func tree(t *testing.T, blocks []block) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(top, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), content, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"checks", "cmd", "config", "haproxy", "keepalived", "notify", "regular", "packaging", "test", "bench"} {
		if err := os.CopyFS(filepath.Join(folder, name), os.DirFS(filepath.Join(top, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range blocks {
		path := filepath.Join(folder, b.file)
		text := b.text
		if b.lang == "diff" {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if text, err = apply(string(content), b.text); err != nil {
				t.Fatalf("CONTRIBUTING.md: %s: %v", b.file, err)
			}
		} else if _, err := os.Stat(path); err == nil {
			t.Fatalf("CONTRIBUTING.md: %s is there already", b.file)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// apply changes a text as a diff without line numbers says: blank lines divide
// its parts, each of which must fit in one place.
func apply(text, diff string) (string, error) {
	for part := range strings.SplitSeq(strings.TrimRight(diff, "\n"), "\n\n") {
		var before, after strings.Builder
		for line := range strings.SplitSeq(part, "\n") {
			switch {
			case strings.HasPrefix(line, "+"):
				after.WriteString(line[1:] + "\n")
			case strings.HasPrefix(line, "-"):
				before.WriteString(line[1:] + "\n")
			default:
				line = strings.TrimPrefix(line, " ")
				before.WriteString(line + "\n")
				after.WriteString(line + "\n")
			}
		}
		// How wide gofmt makes its columns is no concern of the page.
		fits := spacePattern.ReplaceAllString(regexp.QuoteMeta(before.String()), "[ \t]+")
		places := regexp.MustCompile(fits).FindAllStringIndex(text, 2)
		if len(places) != 1 {
			return "", fmt.Errorf("these lines fit in %d places:\n%s", len(places), before.String())
		}
		text = text[:places[0][0]] + after.String() + text[places[0][1]:]
	}
	return text, nil
}

// command runs a program in a folder and gives its output and exit code.
func command(t *testing.T, folder string, args ...string) (output string, code int) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func must(t *testing.T, folder string, args ...string) {
	t.Helper()
	if output, code := command(t, folder, args...); code != 0 {
		t.Fatalf("%s: exit code %d: %s", strings.Join(args, " "), code, output)
	}
}

// checkFiles compares the list of files touched with those the code is for.
func checkFiles(t *testing.T, blocks []block, files []string) {
	t.Helper()
	shown := map[string]bool{}
	for _, b := range blocks {
		shown[b.file] = true
	}
	for _, file := range files {
		if _, err := os.Stat(filepath.Join(top, file)); err != nil && !shown[file] {
			t.Errorf("CONTRIBUTING.md lists %s, which is neither there nor shown", file)
		}
		delete(shown, file)
	}
	for file := range shown {
		t.Errorf("CONTRIBUTING.md shows code for %s and does not list it", file)
	}
}

func configuration(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hacheck.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestExamples puts both examples into one copy of the program.
func TestExamples(t *testing.T) {
	var blocks []block
	for _, heading := range []string{"How to add a check", "How to add a channel"} {
		found, files := section(t, heading)
		checkFiles(t, found, files)
		blocks = append(blocks, found...)
	}
	folder := tree(t, blocks)
	must(t, folder, "go", "vet", "./checks", "./notify/logfile", "./config", "./cmd/hacheck")
	must(t, folder, "go", "test", "-run", "^TestFile$", "./checks")
	must(t, folder, "go", "test", "./notify/logfile")
	must(t, folder, "go", "test", "-run", "TestReference", "./config")
	must(t, folder, "go", "test", "-run", "TestImportDirections", "./test")
	program := filepath.Join(t.TempDir(), "hacheck")
	must(t, folder, "go", "build", "-o", program, "./cmd/hacheck")
	t.Run("check", func(t *testing.T) { runCheck(t, program) })
	t.Run("channel", func(t *testing.T) { runChannel(t, program) })
}

func runCheck(t *testing.T, program string) {
	mark := filepath.Join(t.TempDir(), "mark")
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	config := configuration(t, "state_dir: "+t.TempDir()+"\nrun_dir: "+t.TempDir()+"\nchecks:\n  backup: {type: file, path: "+mark+", max_age: 1h}\n")
	output, code := command(t, "", program, "--config", config, "check", "backup")
	if code != 0 || !strings.HasPrefix(output, "OK backup: "+mark+" was written ") {
		t.Errorf("with a fresh file: exit code %d, %s", code, output)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(mark, old, old); err != nil {
		t.Fatal(err)
	}
	output, code = command(t, "", program, "--config", config, "check", "backup")
	if code != 1 || !strings.HasPrefix(output, "FAIL backup: "+mark+" was written 2h0m") || !strings.Contains(output, "more than 1h0m0s") {
		t.Errorf("with an old file: exit code %d, %s", code, output)
	}
	output, code = command(t, "", program, "--config", configuration(t, "checks:\n  backup: {type: file, path: mark}\n"), "config", "check")
	if code != 3 || !strings.Contains(output, `path: "mark" is not an absolute path`) {
		t.Errorf("with a mistake: exit code %d, %s", code, output)
	}
}

func runChannel(t *testing.T, program string) {
	log := filepath.Join(t.TempDir(), "messages")
	config := configuration(t, "state_dir: "+t.TempDir()+"\nrun_dir: "+t.TempDir()+"\nnotify:\n  channels:\n    - {type: logfile, path: "+log+"}\n")
	output, code := command(t, "", program, "--config", config, "notify", "FAULT", "VI_1")
	if code != 0 || !strings.Contains(output, "1 delivered") {
		t.Errorf("exit code %d, %s", code, output)
	}
	content, err := os.ReadFile(log)
	if err != nil || !strings.Contains(string(content), `"name":"VI_1"`) || strings.Count(string(content), "\n") != 1 {
		t.Errorf("the file holds %s, %v", content, err)
	}
	output, code = command(t, "", program, "--config", configuration(t, "notify:\n  channels:\n    - {type: logfile}\n"), "config", "check")
	if code != 3 || !strings.Contains(output, `path: "" is not an absolute path`) {
		t.Errorf("with a mistake: exit code %d, %s", code, output)
	}
}
