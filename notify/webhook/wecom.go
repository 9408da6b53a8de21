package webhook

import "time"

// wecomContent is what WeCom (WeChat Work) takes, in bytes.
const wecomContent = 4096

// wecomMessage is the body for a group robot of WeCom.
type wecomMessage struct {
	Type     string        `json:"msgtype"`
	Markdown wecomMarkdown `json:"markdown"`
}

type wecomMarkdown struct {
	Content string `json:"content"`
}

func wecomPosts(t told) ([]post, error) {
	content := "**" + unmarked(t.message.Subject) + "**\n" + unmarked(t.message.Text)
	return onePost(wecomMessage{Type: "markdown", Markdown: wecomMarkdown{Content: cut(content, wecomContent, octets)}})
}

func wecomAnswered(_ int, body []byte) answer {
	return coded(body, time.Minute, []int64{
		45009, // more than 20 a minute
		45033, // too many at once
	}, []int64{
		93000, 93004, 93008, // no such key, robot switched off, address not allowed
		40008, 40058, 44004, 45002, // type, parameter or length wrong, empty, too long
	})
}
