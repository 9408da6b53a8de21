package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// source is what is built, as git tells.
type source struct {
	// version sorts right for dpkg and rpm: a "~" sorts before the end.
	version string
	commit  string
	date    time.Time
	dirty   bool
}

func identify(ctx context.Context) (source, error) {
	commit, err := output(ctx, "git", "rev-parse", "HEAD")
	if err != nil {
		return source{}, fmt.Errorf("the version comes from git: %w", err)
	}
	date, err := output(ctx, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return source{}, err
	}
	seconds, err := strconv.ParseInt(date, 10, 64)
	if err != nil {
		return source{}, fmt.Errorf("git log: date of the commit: %w", err)
	}
	changes, err := output(ctx, "git", "status", "--porcelain", "--untracked-files=all")
	if err != nil {
		return source{}, err
	}
	s := source{commit: commit, date: time.Unix(seconds, 0).UTC(), dirty: changes != ""}
	// Without a tag it is before every release.
	tag, distance := "", 0
	if described, err := output(ctx, "git", "describe", "--tags", "--long", "--match", "v[0-9]*"); err == nil {
		if tag, distance, err = splitDescription(described); err != nil {
			return source{}, err
		}
	}
	s.version = versionOf(tag, distance, s)
	return s, nil
}

// splitDescription takes "v1.2.3-rc.1-4-gabcdef0" apart.
func splitDescription(described string) (tag string, distance int, err error) {
	rest, _, ok := cutLast(described, "-g")
	if ok {
		var count string
		if tag, count, ok = cutLast(rest, "-"); ok {
			distance, err = strconv.Atoi(count)
		}
	}
	if !ok || err != nil {
		return "", 0, fmt.Errorf("git describe says %q, which is not TAG-COUNT-gCOMMIT", described)
	}
	return tag, distance, nil
}

func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

// versionOf makes a version that sorts by time: v1.2.3-rc.1 is 1.2.3~rc.1, which
// is before 1.2.3; commits after a tag come after it, and all commits before the
// first tag before every tag.
func versionOf(tag string, distance int, s source) string {
	commit := s.date.Format("20060102150405") + "." + s.commit[:min(7, len(s.commit))]
	var version string
	switch {
	case tag == "":
		version = "0.0.0~git" + commit
	case distance == 0:
		version = strings.Replace(strings.TrimPrefix(tag, "v"), "-", "~", 1)
	default:
		version = strings.Replace(strings.TrimPrefix(tag, "v"), "-", "~", 1) + "+git" + commit
	}
	// Whatever else a tag may have: both formats read a hyphen as the end.
	version = strings.ReplaceAll(version, "-", ".")
	if s.dirty {
		version += "+dirty"
	}
	return version
}
