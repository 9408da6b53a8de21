package keepalived

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// maxMatches bounds the files one include line may name, and the directories
// looked into on the way.
const maxMatches = maxFiles

// includeLine recognises include, includer, includem, includew, includeb and
// includea. The pattern is the rest of the line; quotes are part of it.
func includeLine(text string) (kind, pattern string, ok bool) {
	if !strings.HasPrefix(text, "include") {
		return "", "", false
	}
	kind, pattern, ok = cutBlank(text)
	switch kind {
	case "include", "includer", "includem", "includew", "includeb", "includea":
		return kind, pattern, ok
	}
	return "", "", false
}

// openInclude opens the files an include line names. What keepalived passes
// over in silence is a problem here, but for a pattern with wildcards that
// matches nothing: an empty conf.d is in order unless includew or includea
// asks for more.
func (l *lines) openInclude(kind, pattern string) {
	if l.noIncludes || len(l.files) == 0 || l.looks == 0 {
		return
	}
	var paths []string
	dir := l.files[len(l.files)-1].dir
	// The directory of the file as it was named, so that positions are too.
	if named := filepath.Dir(l.files[len(l.files)-1].name); !filepath.IsAbs(named) {
		dir = named
	}
	strict := kind == "includew" || kind == "includea"
	for _, alternative := range expandBraces(pattern) {
		found, err := l.glob(dir, alternative)
		if l.looks == 0 {
			return
		}
		if err != nil {
			l.report("cannot include %s: %v", alternative, err)
		}
		if len(found) == 0 && err == nil && (strict || !strings.ContainsAny(alternative, "*?[")) {
			l.report("%s %s: no such file", kind, alternative)
		}
		paths = append(paths, found...)
	}
	l.openFirst(paths)
}

// expandBraces resolves {a,b} as glob(3) does with GLOB_BRACE, bounded. A
// brace that is not closed, and {}, stay as they are.
func expandBraces(pattern string) []string {
	done := []string{}
	todo := []string{pattern}
	for len(todo) > 0 && len(done)+len(todo) <= maxMatches {
		text := todo[0]
		todo = todo[1:]
		before, choices, after, ok := cutBraces(text)
		if !ok {
			done = append(done, text)
			continue
		}
		var made []string
		for _, choice := range choices {
			made = append(made, before+choice+after)
		}
		todo = append(made, todo...)
	}
	return done
}

// cutBraces finds the first {…} and its choices, which may hold braces.
func cutBraces(text string) (before string, choices []string, after string, ok bool) {
	begin := strings.IndexByte(text, '{')
	if begin < 0 || strings.HasPrefix(text[begin:], "{}") {
		return "", nil, "", false
	}
	depth, from := 0, begin+1
	for i := begin; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '{':
			depth++
		case ',':
			if depth == 1 {
				choices = append(choices, text[from:i])
				from = i + 1
			}
		case '}':
			if depth--; depth == 0 {
				return text[:begin], append(choices, text[from:i]), text[i+1:], true
			}
		}
	}
	return "", nil, "", false
}

// glob returns the files that match a pattern, sorted, as glob(3): a pattern
// that begins with no slash begins in dir, a wildcard matches no leading dot,
// and [!a] is the complement of [a].
func (l *lines) glob(dir, pattern string) ([]string, error) {
	if !l.look(1) {
		return nil, nil
	}
	if !strings.HasPrefix(pattern, "/") {
		dir = filepath.Clean(dir)
	} else {
		dir = "/"
	}
	found := []string{dir}
	for _, element := range strings.Split(strings.Trim(pattern, "/"), "/") {
		if element == "" {
			continue
		}
		var err error
		if found, err = l.globElement(found, element); err != nil {
			return nil, err
		}
	}
	if strings.Trim(pattern, "/") == "" {
		return nil, nil
	}
	return found, nil
}

// globElement matches one path element in each of the directories.
func (l *lines) globElement(dirs []string, element string) ([]string, error) {
	var found []string
	if !strings.ContainsAny(element, `*?[\`) {
		for _, dir := range dirs {
			if !l.look(1) {
				break
			}
			name := filepath.Join(dir, element)
			if _, err := os.Lstat(name); err == nil {
				found = append(found, name)
			}
		}
		return found, nil
	}
	element = strings.ReplaceAll(element, "[!", "[^")
	if _, err := path.Match(element, ""); err != nil {
		return nil, errors.New("the pattern is malformed")
	}
	for _, dir := range dirs {
		if len(found) >= maxMatches || !l.look(1) {
			break
		}
		names, err := readNames(dir)
		if err != nil {
			return found, fmt.Errorf("%s: %w", dir, reason(err))
		}
		l.look(len(names))
		for _, name := range names {
			if strings.HasPrefix(name, ".") && !strings.HasPrefix(element, ".") {
				continue
			}
			if ok, _ := path.Match(element, name); ok && len(found) < maxMatches {
				found = append(found, filepath.Join(dir, name))
			}
		}
	}
	return found, nil
}

// readNames lists a directory, sorted. What is no directory has no names.
func readNames(dir string) ([]string, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	opened, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	names, err := opened.Readdirnames(16 * maxMatches)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// readFile reads a regular file of at most limit bytes, and returns what it has
// read also with an error. It does not wait for a FIFO's writer if the file has
// just become one.
func readFile(name string, limit int) ([]byte, error) {
	opened, err := os.OpenFile(name, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if info.Size() > int64(limit) {
		return nil, fmt.Errorf("it is too large: all files together may have %d MiB", maxBytes>>20)
	}
	data := make([]byte, 0, info.Size()+512)
	for {
		n, err := opened.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return data, err
		case len(data) > limit:
			return data, fmt.Errorf("it is too large: all files together may have %d MiB", maxBytes>>20)
		case len(data) == cap(data):
			data = append(data, 0)[:len(data)]
		}
	}
}

// reason is what went wrong, without the operation and the path that the
// message around it names already.
func reason(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
