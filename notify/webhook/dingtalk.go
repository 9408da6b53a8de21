package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// dingtalkText is what fits, as JSON, into DingTalk's 20,000 bytes a message
// with all that is around it.
const dingtalkText = 18_000

// dingtalkMessage is the body for a custom robot of DingTalk.
type dingtalkMessage struct {
	Type     string           `json:"msgtype"`
	Markdown dingtalkMarkdown `json:"markdown"`
	At       dingtalkAt       `json:"at"`
}

type dingtalkMarkdown struct {
	Title string `json:"title"` // of the notification; the text has it, too
	Text  string `json:"text"`
}

// dingtalkAt says whom to mention: nobody.
type dingtalkAt struct {
	All bool `json:"isAtAll"`
}

func dingtalkPosts(t told) ([]post, error) {
	title := unmarked(t.message.Subject)
	// DingTalk breaks a line only behind two blanks.
	text := "#### " + title + "\n\n" + strings.ReplaceAll(unmarked(t.message.Text), "\n", "  \n")
	posts, err := onePost(dingtalkMessage{
		Type:     "markdown",
		Markdown: dingtalkMarkdown{Title: cut(title, 200, characters), Text: cut(text, dingtalkText, jsonOctets)},
	})
	if err != nil || t.key == "" {
		return posts, err
	}
	milliseconds := strconv.FormatInt(t.now.UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(t.key))
	fmt.Fprintf(mac, "%s\n%s", milliseconds, t.key)
	sign := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	posts[0].query = url.Values{"timestamp": {milliseconds}, "sign": {sign}}
	posts[0].fleeting = []string{milliseconds, sign, url.QueryEscape(sign)}
	return posts, nil
}

// dingtalkBlock is how long DingTalk takes nothing from a robot that sent too
// fast.
const dingtalkBlock = 10 * time.Minute

// codeAnswer is what DingTalk and WeCom answer.
type codeAnswer struct {
	Code    *int64 `json:"errcode"`
	Message string `json:"errmsg"`
}

func dingtalkAnswered(_ int, body []byte) answer {
	return coded(body, dingtalkBlock, []int64{
		130101, // more than 20 a minute
		410100, // too fast
	}, []int64{
		310000,                                 // keyword, signature or address not allowed
		300001, 300005, 400101, 400102, 400106, // no such token, robot switched off, no such robot
		400013,               // the group is no more
		40035, 43004, 400105, // parameter missing, not JSON, type not known
		430101, 430102, 430103, 430104, // content not allowed
	})
}

// coded reads an answer of errcode and errmsg. A code that is in none of the
// lists, like the -1 of a busy system, is worth another attempt: it is better
// to try in vain than to lose a message.
func coded(body []byte, wait time.Duration, tooFast, final []int64) answer {
	var got codeAnswer
	if !decode(body, &got) || got.Code == nil {
		return answer{}
	}
	a := answer{verdict: later, said: fmt.Sprintf("errcode %d: %s", *got.Code, got.Message)}
	switch {
	case *got.Code == 0:
		a.verdict = accepted
	case slices.Contains(tooFast, *got.Code):
		a.wait = wait
	case slices.Contains(final, *got.Code):
		a.verdict = refused
	}
	return a
}
