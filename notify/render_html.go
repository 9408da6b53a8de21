package notify

import (
	"html"
	"strings"
)

// The document is put together by hand, with every text through
// html.EscapeString and no text from the event inside a tag: html/template
// would cost each start of a check, which is every second, its
// initialisation, and the binary 1.7 MB. Mail clients drop style sheets, so
// that styles are inline; they honour tables. Colours are either a pair that
// brings its own background (the badge) or of a luminance near 0.18, which
// reads on white and on the dark grey of dark modes (a contrast above 4 on
// both), which clients that honour the style sheet brighten in dark mode;
// everything else is left to the reader's mode.

const (
	styleFont    = "font-size:15px;line-height:1.5;"
	styleMono    = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:13px;"
	styleBreak   = "overflow-wrap:anywhere;word-break:break-word;"
	styleRule    = "border-top:1px solid rgba(128,128,128,0.35);"
	styleHeading = "margin:24px 0 6px 0;font-size:13px;line-height:1.5;font-weight:bold;"
	styleMuted   = "opacity:0.72;"
	styleLink    = "color:#3277cc;"
	colourLoud   = "#d83a34"
	colourQuiet  = "#c98a00"
)

// badgeColour is the ground under white letters; each has a contrast of at
// least 4.5 (WCAG 2.2, criterion 1.4.3).
func badgeColour(state State) string {
	switch state {
	case Master:
		return "#1a7f37"
	case Backup:
		return "#0969da"
	case Fault:
		return "#cf222e"
	case MasterRxLowerPri:
		return "#bc4c00"
	case MasterPriority, BackupPriority:
		return "#0a6c74"
	default:
		return "#57606a"
	}
}

// fonts are the sans-serif faces, those with the language's own shapes of
// Chinese characters before the others.
func fonts(language Language) string {
	switch language {
	case SimplifiedChinese:
		return "-apple-system,'Segoe UI',Roboto,'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',sans-serif"
	case TraditionalChinese:
		return "-apple-system,'Segoe UI',Roboto,'PingFang TC','Microsoft JhengHei','Noto Sans CJK TC',sans-serif"
	default:
		return "-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
	}
}

// page writes HTML that is well-formed XML too.
type page struct{ strings.Builder }

// open writes a start tag. Its parts come from this file only, or are escaped.
func (p *page) open(tag, style string) { p.WriteString("<" + tag + ` style="` + style + `">`) }

// say writes text that may hold anything.
func (p *page) say(text string) { p.WriteString(html.EscapeString(text)) }

// element writes a tag around a text.
func (p *page) element(tag, style, text string) {
	p.open(tag, style)
	p.say(text)
	name, _, _ := strings.Cut(tag, " ")
	p.WriteString("</" + name + ">")
}

// tableTag starts a table that is there for its layout.
const tableTag = `table role="presentation" cellpadding="0" cellspacing="0" border="0"`

// styleSheet is for what inline styles cannot say.
const styleSheet = ":root{color-scheme:light dark;}" +
	"@media(prefers-color-scheme:dark){.bad{color:#ff7b72!important}.caution{color:#e3b341!important}.good{color:#4ac26b!important}.link{color:#6cb2ff!important}}"

// html lays the report out as an HTML document.
func (r report) html(words *phrases) string { return htmlPage(r.subject, r.language, r.body(words)) }

// htmlPage puts a body into a whole document. The title is text, the body HTML.
func htmlPage(title string, language Language, body string) string {
	var p page
	p.WriteString("<!DOCTYPE html>\n" + `<html lang="` + string(language) + `"><head><meta charset="utf-8"/>` +
		`<meta name="viewport" content="width=device-width, initial-scale=1"/>` +
		`<meta name="color-scheme" content="light dark"/><meta name="supported-color-schemes" content="light dark"/>` +
		"<style>" + styleSheet + "</style><title>")
	p.say(title)
	p.WriteString("</title></head>\n")
	p.open("body", "margin:0;padding:16px;font-family:"+fonts(language)+";"+styleFont)
	p.WriteString(body)
	p.WriteString("</body></html>\n")
	return p.String()
}

// body lays the report out as what stands in the document's body.
func (r report) body(words *phrases) string {
	var p page
	p.open(tableTag+` width="100%"`, "max-width:680px;"+styleFont)
	p.WriteString("<tr><td>\n")

	p.open(tableTag, styleFont)
	p.WriteString(`<tr><td bgcolor="` + r.colour + `" style="background-color:` + r.colour +
		`;color:#ffffff;font-weight:bold;padding:4px 12px;border-radius:4px;` + styleBreak + `">`)
	p.say(r.badge)
	p.WriteString("</td>")
	p.open("td", "padding:4px 12px;font-size:13px;white-space:nowrap;")
	p.toned(urgency(r.level), words.levels[r.level])
	p.WriteString("</td></tr></table>\n")

	p.element("p", "margin:14px 0 8px 0;font-size:18px;line-height:1.4;font-weight:bold;"+styleBreak, r.headline)
	for _, sentence := range r.lead {
		p.element("p", "margin:0 0 8px 0;"+styleBreak, sentence)
	}
	for _, alert := range r.alerts {
		bar := colourQuiet
		weight := ""
		if alert.loud {
			bar, weight = colourLoud, "font-weight:bold;"
		}
		p.element("p", "margin:10px 0;padding:4px 0 4px 12px;border-left:4px solid "+bar+";"+weight+styleBreak, alert.text)
	}
	p.WriteString("\n")
	p.rows(r.facts, false, "margin-top:14px;")
	for _, section := range r.sections {
		p.element("h2", styleHeading, section.heading)
		p.rows(section.rows, section.keyed, "")
	}
	if len(r.commands) > 0 {
		p.element("h2", styleHeading, words.headingNext)
		p.open(tableTag+` width="100%"`, styleFont)
		for _, command := range r.commands {
			p.next(command)
		}
		p.WriteString("</table>\n")
	}
	p.element("p", "margin:20px 0 0 0;font-size:12px;"+styleMuted+styleBreak, words.labelEventID+" "+r.id)
	p.WriteString("</td></tr></table>")
	return p.String()
}

// next writes a command, or a link.
func (p *page) next(command command) {
	p.WriteString("<tr>")
	p.open("td", "padding:5px 0;"+styleRule+styleBreak)
	if command.link != "" {
		p.element(`a class="link" href="`+html.EscapeString(command.link)+`"`, styleLink, command.line)
	} else {
		p.element("code", styleMono, command.line)
	}
	p.WriteString("<br/>")
	p.element("span", "font-size:13px;"+styleMuted, command.purpose)
	p.WriteString("</td></tr>\n")
}

// rows writes a table of labels and texts; keyed ones have labels that are
// values themselves. A row without a label continues the one above and has no
// rule of its own.
func (p *page) rows(rows []row, keyed bool, style string) {
	labelStyle := "width:28%;padding:5px 12px 5px 0;" + styleMuted + styleBreak
	if keyed {
		labelStyle = "width:55%;padding:5px 12px 5px 0;font-weight:bold;" + styleBreak
	}
	labelled := false
	for _, row := range rows {
		labelled = labelled || row.label != ""
	}
	p.open(tableTag+` width="100%"`, style+styleFont)
	for i, row := range rows {
		rule, padding := styleRule, "padding:5px 0;"
		if labelled && row.label == "" && i > 0 {
			rule, padding = "", "padding:0 0 5px 0;"
		}
		p.WriteString(`<tr valign="top">`)
		if labelled {
			p.element("td", labelStyle+rule, row.label)
		}
		p.open("td", padding+rule+styleBreak)
		p.toned(row.tone, row.text)
		p.WriteString("</td></tr>\n")
	}
	p.WriteString("</table>\n")
}

// toned says text in the colour of its tone.
func (p *page) toned(tone tone, text string) {
	switch tone {
	case bad:
		p.element(`span class="bad"`, "color:#d83a34;font-weight:bold;", text)
	case caution:
		p.element(`span class="caution"`, "color:#a86d00;font-weight:bold;", text)
	case good:
		p.element(`span class="good"`, "color:#16873d;", text)
	default:
		p.say(text)
	}
}

// urgency is the tone of a level.
func urgency(level Level) tone {
	switch level {
	case Critical:
		return bad
	case Warning:
		return caution
	default:
		return plain
	}
}
