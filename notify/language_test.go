package notify

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseLanguage(t *testing.T) {
	for _, test := range []struct {
		text    string
		want    Language
		problem string
	}{
		{"", English, ""},
		{"en", English, ""},
		{"EN", English, ""},
		{"zh-CN", SimplifiedChinese, ""},
		{"zh_tw", TraditionalChinese, ""},
		{"zh", "", `"zh" does not say which Chinese: use zh-CN (simplified) or zh-TW (traditional)`},
		{"ZH", "", `"ZH" does not say which Chinese: use zh-CN (simplified) or zh-TW (traditional)`},
		{"zh-Hant", "", `"zh-Hant" is not a language of messages: use en, zh-CN or zh-TW`},
		{"en_US.UTF-8", "", `"en_US.UTF-8" is not a language of messages: use en, zh-CN or zh-TW`},
		{strings.Repeat("x", 1000), "", `"xxxxxxxxxxxxxxxxxxx…" is not a language of messages: use en, zh-CN or zh-TW`},
	} {
		got, err := ParseLanguage(test.text)
		switch {
		case test.problem == "" && (err != nil || got != test.want):
			t.Errorf("%q: %q, %v instead of %q", test.text, got, err, test.want)
		case test.problem != "" && (err == nil || err.Error() != test.problem):
			t.Errorf("%q: error %v instead of %q", test.text, err, test.problem)
		}
	}
}

func TestDuration(t *testing.T) {
	english, chinese := English.phrases(), TraditionalChinese.phrases()
	for _, test := range []struct {
		of       time.Duration
		en, zhTW string
	}{
		{0, "0 s", "0 秒"},
		{900 * time.Millisecond, "0 s", "0 秒"},
		{61 * time.Second, "1 min 1 s", "1 分鐘 1 秒"},
		{time.Hour, "1 h", "1 小時"},
		{41*24*time.Hour + 3*time.Hour + 59*time.Minute, "41 d 3 h", "41 天 3 小時"},
		{24*time.Hour + 59*time.Minute, "1 d", "1 天"},
	} {
		if got := english.duration(test.of); got != test.en {
			t.Errorf("%v in English: %q instead of %q", test.of, got, test.en)
		}
		if got := chinese.duration(test.of); got != test.zhTW {
			t.Errorf("%v in Chinese: %q instead of %q", test.of, got, test.zhTW)
		}
	}
}

// Every language says everything, with the same values in it.
func TestPhrasesAreComplete(t *testing.T) {
	// English needs no word beside keepalived's own, and no language has one
	// for a state that nobody knows.
	mayBeEmpty := []string{"states.*.word", "otherState.word"}
	verb := regexp.MustCompile(`%\[\d\][sd]`)
	english := flatten(reflect.ValueOf(English.phrases()), "")
	for _, language := range languages {
		words := flatten(reflect.ValueOf(language.phrases()), "")
		for name, text := range words {
			pattern := regexp.MustCompile(`^(states)\.\w+\.`).ReplaceAllString(name, "$1.*.")
			if text == "" && !slices.Contains(mayBeEmpty, pattern) {
				t.Errorf("%s: %s is empty", language, name)
			}
			if strings.Contains(verb.ReplaceAllString(text, ""), "%") {
				t.Errorf("%s: %s holds a verb without a number: %q", language, name, text)
			}
			if wanted, ok := english[name]; !ok {
				t.Errorf("%s: %s is not in English", language, name)
			} else if got, want := verbs(verb, text), verbs(verb, wanted); !slices.Equal(got, want) {
				t.Errorf("%s: %s has the values %v instead of %v", language, name, got, want)
			}
		}
		if len(words) != len(english) {
			t.Errorf("%s has %d phrases instead of %d", language, len(words), len(english))
		}
		phrases := language.phrases()
		for _, state := range states {
			if _, ok := phrases.states[state]; !ok {
				t.Errorf("%s has no words for %s", language, state)
			}
		}
	}
}

func verbs(verb *regexp.Regexp, text string) []string {
	found := verb.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

// flatten lists every string of a value by its path.
func flatten(value reflect.Value, path string) map[string]string {
	all := map[string]string{}
	add := func(part reflect.Value, name string) {
		for key, text := range flatten(part, strings.TrimPrefix(path+"."+name, ".")) {
			all[key] = text
		}
	}
	switch value.Kind() {
	case reflect.String:
		all[path] = value.String()
	case reflect.Struct:
		for i := range value.NumField() {
			add(value.Field(i), value.Type().Field(i).Name)
		}
	case reflect.Map:
		for entry := value.MapRange(); entry.Next(); {
			add(entry.Value(), entry.Key().String())
		}
	}
	return all
}
