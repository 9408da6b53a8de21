package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMigrationTables finds each line that is to be replaced in the scripts and
// the configuration that the package brings as an example of them.
func TestMigrationTables(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(repository(t), "packaging/examples/migration/before/*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var before string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before += string(content)
	}
	for path, header := range map[string]string{"docs/migrate.md": "line", "docs/zh-CN/migrate.md": "原来的行"} {
		lines := codes(readPage(t, repository(t), path).tables(t, header), 0)
		if len(lines) < 12 {
			t.Errorf("%s: only %d lines were found", path, len(lines))
		}
		for _, line := range lines {
			if strings.HasPrefix(line, "curl ") {
				continue // found in other people's scripts
			}
			for piece := range strings.SplitSeq(line, "…") {
				if !strings.Contains(before, strings.TrimSpace(strings.TrimSuffix(piece, ")"))) {
					t.Errorf("%s: %q is not in the example's files", path, line)
				}
			}
		}
	}
}
