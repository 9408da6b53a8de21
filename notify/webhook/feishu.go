package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// feishuText is what fits, as JSON, into Feishu's 20 KB a message with all
// that is around it.
const feishuText = 19_000

// feishuMessage is the body for a custom bot of Feishu, called Lark elsewhere.
type feishuMessage struct {
	Timestamp string        `json:"timestamp,omitempty"`
	Sign      string        `json:"sign,omitempty"`
	Type      string        `json:"msg_type"`
	Content   feishuContent `json:"content"`
}

type feishuContent struct {
	Text string `json:"text"`
}

func feishuPosts(t told) ([]post, error) {
	text := t.message.Subject + "\n\n" + t.message.Text
	// All that has a meaning in a text is a tag, as <at user_id="all">, and a
	// link, [x](https://…).
	text = strings.NewReplacer("<", "＜", "](", "]（").Replace(text)
	message := feishuMessage{Type: "text", Content: feishuContent{Text: cut(text, feishuText, jsonOctets)}}
	if t.key == "" {
		return onePost(message)
	}
	message.Timestamp = strconv.FormatInt(t.now.Unix(), 10)
	// The text to sign is the key here, and the message is empty.
	mac := hmac.New(sha256.New, []byte(message.Timestamp+"\n"+t.key))
	message.Sign = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	posts, err := onePost(message)
	if err == nil {
		posts[0].fleeting = []string{message.Timestamp, message.Sign}
	}
	return posts, err
}

// feishuAnswer is what Feishu answers; older servers say StatusCode alone.
type feishuAnswer struct {
	Code       *int64 `json:"code"`
	Message    string `json:"msg"`
	StatusCode *int64 `json:"StatusCode"`
}

func feishuAnswered(_ int, body []byte) answer {
	var got feishuAnswer
	if !decode(body, &got) {
		return answer{}
	}
	code := got.Code
	if code == nil {
		code = got.StatusCode
	}
	if code == nil {
		return answer{}
	}
	a := answer{verdict: later, said: fmt.Sprintf("code %d: %s", *code, got.Message)}
	switch {
	case *code == 0:
		a.verdict = accepted
	case *code == 11232, // more than 5 a second or 100 a minute
		*code == 9499 && strings.Contains(strings.ToLower(got.Message), "too many"):
		a.wait = time.Minute
	case slices.Contains([]int64{
		19001, 19007, // no such bot, bot switched off
		19021, 19022, 19024, // signature, address, keyword
		9499, // not the body of a message, if it does not say "too many request"
	}, *code):
		a.verdict = refused
	}
	return a
}
