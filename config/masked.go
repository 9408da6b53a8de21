package config

import (
	"net/url"
	"slices"
	"strings"
)

// mask stands in place of a value that may be a secret.
const mask = "********"

// masked is the form of a value that is not shown and that no error repeats.
func masked(form Form) Form {
	form.Secret = true
	return form
}

// maskedByName is a textByName whose values may be secrets, such as the header
// Authorization: they are read but not shown.
type maskedByName struct{ textByName }

func (v maskedByName) show() any {
	shown := map[string]string{}
	for name := range *v.to {
		shown[name] = mask
	}
	return shown
}
func (v maskedByName) form() Form { return masked(v.textByName.form()) }

// maskedText is a text that may hold a secret, as what is sent to log in does.
type maskedText struct{ text }

func (v maskedText) show() any {
	if *v.to == "" {
		return ""
	}
	return mask
}
func (v maskedText) form() Form { return masked(v.text.form()) }

// maskedURLs is a list of URLs, shown without what may hold a secret: the user,
// the password and the query.
type maskedURLs struct{ texts }

func (v maskedURLs) show() any {
	shown := make([]string, len(*v.to))
	for i, text := range *v.to {
		shown[i] = maskURL(text)
	}
	return shown
}
func (v maskedURLs) form() Form { return masked(v.texts.form()) }

func maskURL(text string) string {
	text, _, query := strings.Cut(text, "?")
	if parsed, err := url.Parse(text); err != nil || parsed.User == nil && strings.Contains(text, "@") {
		return mask // what stands before the '@' may be a password
	} else if parsed.User != nil {
		parsed.User = nil
		text = strings.Replace(parsed.String(), "://", "://"+mask+"@", 1)
	}
	if query {
		text += "?" + mask
	}
	return text
}

// maskedURL is a text whose value is a URL with a secret in it, as those of
// chat services are: only scheme and host are shown.
type maskedURL struct{ text }

func (v maskedURL) show() any {
	if *v.to == "" {
		return ""
	}
	parsed, err := url.Parse(*v.to)
	if err != nil || parsed.Host == "" {
		return mask
	}
	return parsed.Scheme + "://" + parsed.Host + "/" + mask
}
func (v maskedURL) form() Form { return masked(Form{Type: "web address"}) }

// maskedRoot is a URL that is no secret itself, such as a server's root or a
// proxy's, but may hold one: it is shown without the user, the password and the
// query.
type maskedRoot struct{ text }

func (v maskedRoot) show() any {
	if *v.to == "" {
		return ""
	}
	return maskURL(*v.to)
}
func (v maskedRoot) form() Form { return masked(Form{Type: "web address"}) }

// maskedArguments is a command whose arguments may hold a secret: only the
// program is shown.
type maskedArguments struct{ texts }

func (v maskedArguments) show() any {
	shown := slices.Clone(*v.to)
	for i, argument := range shown {
		switch program, _, spaced := strings.Cut(argument, " "); {
		case i > 0:
			shown[i] = mask
		case spaced: // perhaps a whole command line by mistake
			shown[i] = program + " " + mask
		}
	}
	return shown
}
func (v maskedArguments) form() Form { return masked(v.texts.form()) }
