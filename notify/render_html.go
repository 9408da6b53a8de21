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
// brings its own background (the badge) or readable on both white and black,
// and everything else is left to the reader's mode.

const (
	styleFont    = "font-size:15px;line-height:1.5;"
	styleMono    = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:13px;"
	styleBreak   = "overflow-wrap:anywhere;word-break:break-word;"
	styleRule    = "border-top:1px solid rgba(128,128,128,0.35);"
	styleHeading = "margin:24px 0 6px 0;font-size:13px;line-height:1.5;font-weight:bold;"
	styleMuted   = "color:#7b828a;"
	styleBad     = "color:#e0473c;font-weight:bold;"
	styleCaution = "color:#b87a00;font-weight:bold;"
	styleGood    = "color:#1f9d4d;"
	colourLoud   = "#e0473c"
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

// open writes a start tag. Its parts come from this file only.
func (p *page) open(tag, style string) { p.WriteString("<" + tag + ` style="` + style + `">`) }

// say writes text that may hold anything.
func (p *page) say(text string) { p.WriteString(html.EscapeString(text)) }

// element writes a tag around a text.
func (p *page) element(tag, style, text string) {
	p.open(tag, style)
	p.say(text)
	p.WriteString("</" + tag + ">")
}

const tableTag = `table role="presentation" cellpadding="0" cellspacing="0" border="0"`

// html lays the report out as an HTML document.
func (r report) html(words *phrases) string {
	var p page
	p.WriteString("<!DOCTYPE html>\n" + `<html lang="` + string(r.language) + `"><head><meta charset="utf-8"/>` +
		`<meta name="viewport" content="width=device-width, initial-scale=1"/>` +
		`<meta name="color-scheme" content="light dark"/><meta name="supported-color-schemes" content="light dark"/>` +
		`<style>:root{color-scheme:light dark;}</style><title>`)
	p.say(r.subject)
	p.WriteString("</title></head>\n")
	p.open("body", "margin:0;padding:16px;font-family:"+fonts(r.language)+";"+styleFont)
	p.open(tableTag+` width="100%"`, "max-width:680px;"+styleFont)
	p.WriteString("<tr><td>\n")

	p.open(tableTag, styleFont)
	colour := badgeColour(r.state)
	p.WriteString(`<tr><td bgcolor="` + colour + `" style="background-color:` + colour +
		`;color:#ffffff;font-weight:bold;padding:4px 12px;border-radius:4px;` + styleBreak + `">`)
	p.say(r.badge)
	p.WriteString("</td>")
	p.element("td", "padding:4px 12px;font-size:13px;"+styleMuted, words.levels[r.level])
	p.WriteString("</tr></table>\n")

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
	p.rows(r.facts, "margin-top:14px;")
	for _, section := range r.sections {
		p.element("h2", styleHeading, section.heading)
		p.rows(section.rows, "")
	}
	p.element("h2", styleHeading, words.headingNext)
	p.open(tableTag+` width="100%"`, styleFont)
	for _, command := range r.commands {
		p.WriteString("<tr>")
		p.open("td", "padding:5px 0;"+styleRule+styleBreak)
		p.element("code", styleMono, command.line)
		p.WriteString("<br/>")
		p.element("span", "font-size:13px;"+styleMuted, command.purpose)
		p.WriteString("</td></tr>\n")
	}
	p.WriteString("</table>\n")
	p.element("p", "margin:20px 0 0 0;font-size:12px;"+styleMuted+styleBreak, words.labelEventID+" "+r.id)
	p.WriteString("</td></tr></table></body></html>\n")
	return p.String()
}

// rows writes a table of labels and texts. A row without a label continues the
// one above and has no rule of its own.
func (p *page) rows(rows []row, style string) {
	labelled := false
	for _, row := range rows {
		labelled = labelled || row.label != ""
	}
	p.open(tableTag+` width="100%"`, style+styleFont)
	for i, row := range rows {
		rule := styleRule
		if labelled && row.label == "" && i > 0 {
			rule = ""
		}
		p.WriteString(`<tr valign="top">`)
		if labelled {
			p.element("td", "width:34%;padding:5px 12px 5px 0;"+rule+styleMuted+styleBreak, row.label)
		}
		p.open("td", "padding:5px 0;"+rule+styleBreak)
		switch row.tone {
		case bad:
			p.element("span", styleBad, row.text)
		case caution:
			p.element("span", styleCaution, row.text)
		case good:
			p.element("span", styleGood, row.text)
		default:
			p.say(row.text)
		}
		p.WriteString("</td></tr>\n")
	}
	p.WriteString("</table>\n")
}
