package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hacheck/config"
)

// words are what the reference says in one language.
type words struct {
	intro                               string
	whole, ofType, everyHook, hookTypes string
	key, value, fallback, meaning       string
	secret, oneOf, list, bounded        string
	// say gives a text of the configuration's in the language.
	say func(text string) string
}

func english() words {
	return words{
		intro: `# Configuration reference

<!-- Written by: go test ./test/docs -run TestReference -update -->

Everything in ` + "`/etc/hacheck/hacheck.yaml`" + `, and the file itself, is optional. It is read
anew by every run; an unknown key is a mistake. Durations carry a unit: 900ms,
1.5s, 2h30m. Secrets are never in this file: the settings that end in ` + "`_file`" + ` name
a file, or a systemd credential.

` + "```sh\nhacheck config check   # every mistake with its line and column\nhacheck config show    # what is in force, secrets masked\n```" + `

A commented file with every section is the ` + "`/etc/hacheck/hacheck.yaml`" + ` of the
packages, ` + "`packaging/hacheck.yaml`" + ` in the sources.
This page is made of what reads the file.
`,
		whole: "The file", ofType: "`%s`, type `%s`",
		everyHook: "All types of channel below this line", hookTypes: "All of these have the following settings, too.",
		key: "key", value: "value", fallback: "default", meaning: "meaning",
		secret: " May hold a secret, which is never shown.", oneOf: "one of %s", list: "%s: %s", bounded: "%s, %s",
		say: func(text string) string { return text },
	}
}

// TestReference compares the configuration reference with what reads the file.
func TestReference(t *testing.T) {
	top := repository(t)
	for path, w := range map[string]words{
		"docs/configuration.md":       english(),
		"docs/zh-CN/configuration.md": chinese(t),
	} {
		want := reference(w)
		if *update {
			if err := os.WriteFile(filepath.Join(top, path), []byte(want), 0o644); err != nil {
				t.Error(err)
			}
			continue
		}
		if got := read(t, path); got != want {
			t.Errorf("%s is not what the code says. Write it anew: go test ./test/docs -run TestReference -update", path)
		}
	}
}

// reference writes the page.
func reference(w words) string {
	var out strings.Builder
	out.WriteString(w.intro)
	sections := config.Reference()
	shared := sharedByHooks(sections)
	told := false
	for _, section := range sections {
		if isHook(section) {
			if !told {
				fmt.Fprintf(&out, "\n## %s\n\n%s\n\n", w.everyHook, w.hookTypes)
				w.table(&out, shared)
				told = true
			}
			section.Settings = slices.DeleteFunc(slices.Clone(section.Settings), func(s config.Setting) bool { return contains(shared, s) })
		}
		fmt.Fprintf(&out, "\n## %s\n\n%s\n\n", w.title(section), sentence(w.say(section.Doc)))
		if len(section.Settings) > 0 {
			w.table(&out, section.Settings)
		}
	}
	return out.String()
}

// isHook reports whether a section is a channel over HTTP.
func isHook(section config.Section) bool {
	return strings.HasSuffix(section.Path, "[]") && slices.ContainsFunc(section.Settings, func(s config.Setting) bool { return s.Key == "headers_file" })
}

// sharedByHooks are the settings that all channels over HTTP have.
func sharedByHooks(sections []config.Section) []config.Setting {
	var shared []config.Setting
	first := true
	for _, section := range sections {
		switch {
		case !isHook(section):
		case first:
			shared, first = slices.Clone(section.Settings), false
		default:
			shared = slices.DeleteFunc(shared, func(s config.Setting) bool { return !contains(section.Settings, s) })
		}
	}
	return shared
}

func contains(settings []config.Setting, wanted config.Setting) bool {
	return slices.ContainsFunc(settings, func(s config.Setting) bool { return fmt.Sprint(s) == fmt.Sprint(wanted) })
}

func (w words) title(section config.Section) string {
	switch {
	case section.Path == "":
		return w.whole
	case section.Type != "":
		return fmt.Sprintf(w.ofType, section.Path, section.Type)
	}
	return "`" + section.Path + "`"
}

func (w words) table(out *strings.Builder, settings []config.Setting) {
	fmt.Fprintf(out, "| %s | %s | %s | %s |\n|---|---|---|---|\n", w.key, w.value, w.fallback, w.meaning)
	for _, s := range settings {
		kind := w.say(s.Type)
		switch {
		case len(s.Choices) > 0 && strings.HasPrefix(s.Type, "list"):
			kind = fmt.Sprintf(w.list, kind, coded(s.Choices))
		case len(s.Choices) > 0:
			kind = fmt.Sprintf(w.oneOf, coded(s.Choices))
		case s.Range != "":
			kind = fmt.Sprintf(w.bounded, kind, w.say(s.Range))
		}
		fallback := s.Default
		if fallback != "" && s.Key != "name" && s.Key != "type" { // those of an example
			fallback = "`" + fallback + "`"
		} else {
			fallback = ""
		}
		meaning := sentence(w.say(s.Doc))
		if s.Secret {
			meaning += w.secret
		}
		cells := []string{"`" + s.Key + "`", kind, fallback, meaning}
		for i := range cells {
			cells[i] = strings.NewReplacer("|", `\|`, "*", `\*`, "<", "&lt;").Replace(cells[i])
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
	}
}

func coded(choices []string) string { return "`" + strings.Join(choices, "`, `") + "`" }

// sentence begins a few words with a capital, unless they begin with the name of
// a file, and ends them with a full stop.
func sentence(text string) string {
	if strings.HasSuffix(text, "。") {
		return text
	}
	first, _, _ := strings.Cut(text, " ")
	if !strings.ContainsAny(first, ".:") {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return strings.TrimSuffix(text, ".") + "."
}

// chinese gives the words in Simplified Chinese, from a table that must have
// each of the configuration's texts, and no other.
func chinese(t *testing.T) words {
	t.Helper()
	table, used := chineseTexts(), map[string]bool{}
	say := func(text string) string {
		used[text] = true
		said, ok := table[text]
		if !ok {
			t.Errorf("chineseTexts has nothing for %q", text)
		}
		return said
	}
	for _, section := range config.Reference() {
		say(section.Doc)
		for _, s := range section.Settings {
			say(s.Doc)
			say(s.Type)
			if s.Range != "" && len(s.Choices) == 0 {
				say(s.Range)
			}
		}
	}
	for text := range table {
		if !used[text] {
			t.Errorf("chineseTexts has %q, which the configuration says no more", text)
		}
	}
	return words{
		intro: `# 配置参考

<!-- Written by: go test ./test/docs -run TestReference -update -->

` + "`/etc/hacheck/hacheck.yaml`" + ` 里的一切都是可选的，文件本身也可以没有。每次运行都会重新读取；不认识的键
就是错误。时间要带单位：900ms、1.5s、2h30m。这个文件里从不写密码：以 ` + "`_file`" + ` 结尾的设置写的是
文件名，或 systemd 凭据（credential）的名字。

` + "```sh\nhacheck config check   # 每处错误及其行列号\nhacheck config show    # 实际生效的配置，密钥已遮盖\n```" + `

带注释的完整示例：软件包里的 ` + "`/etc/hacheck/hacheck.yaml`" + `，即源码中的 ` + "`packaging/hacheck.yaml`" + `。
本页由读取该文件的代码生成。
`,
		whole: "整个文件", ofType: "`%s`，类型 `%s`",
		everyHook: "以下各类通道共有的设置", hookTypes: "以下每一类通道都有这些设置。",
		key: "键", value: "值", fallback: "默认", meaning: "含义",
		secret: "可能含有秘密，秘密从不显示。", oneOf: "%s 之一", list: "%s：%s", bounded: "%s，%s",
		say: say,
	}
}
