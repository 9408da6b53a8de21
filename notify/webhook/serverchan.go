package webhook

import (
	"fmt"
	"strings"
	"time"
)

// What ServerChan takes: a title in characters, a text in bytes.
const (
	serverchanTitle = 32
	serverchanText  = 32_000
)

// serverchanMessage is the body for ServerChan. The text is Markdown.
type serverchanMessage struct {
	Title string `json:"title"`
	Text  string `json:"desp"`
}

func serverchanPosts(t told) ([]post, error) {
	// The title has room for little: the text begins with the whole of it.
	text := fenced(t.message.Subject+"\n\n"+t.message.Text, serverchanText, octets)
	posts, err := onePost(serverchanMessage{Title: cut(t.message.Subject, serverchanTitle, characters), Text: text})
	if err == nil {
		posts[0].path = "/" + t.token + ".send"
	}
	return posts, err
}

// serverchanAnswer is what ServerChan answers.
type serverchanAnswer struct {
	Code    *int64 `json:"code"`
	Message string `json:"message"`
}

func serverchanAnswered(_ int, body []byte) answer {
	var got serverchanAnswer
	if !decode(body, &got) || got.Code == nil {
		return answer{}
	}
	a := answer{verdict: later, said: fmt.Sprintf("code %d: %s", *got.Code, got.Message)}
	switch {
	case *got.Code == 0:
		a.verdict = accepted
	// One code stands for both; only the words differ.
	case strings.Contains(got.Message, "次数限制"):
		a.wait = time.Hour // the day's quota is used up
	case strings.Contains(got.Message, "错误的Key"):
		a.verdict = refused
	}
	return a
}
