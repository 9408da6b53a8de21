package webhook

import "hacheck/notify/secret"

// Warnings tells what is wrong, at this moment and for this account, with the
// files the channel will read. It is for a check of the configuration.
func (n *Notifier) Warnings() []string {
	var warnings []string
	for _, file := range n.cfg.secretFiles() {
		warnings = append(warnings, secret.Warnings(file.field, file.path)...)
	}
	if n.cfg.CAFile != "" {
		if _, err := secret.ReadCAs(n.cfg.CAFile); err != nil {
			warnings = append(warnings, "ca_file: "+err.Error())
		}
	}
	return warnings
}

// secretFile is a file the configuration names, and the field that names it.
type secretFile struct{ field, path string }

// secretFiles lists those that are set.
func (c Config) secretFiles() []secretFile {
	var files []secretFile
	for _, file := range [...]secretFile{
		{"url_file", c.URLFile}, {"secret_file", c.SecretFile}, {"token_file", c.TokenFile},
		{"topic_file", c.TopicFile}, {"headers_file", c.HeadersFile},
	} {
		if file.path != "" {
			files = append(files, file)
		}
	}
	return files
}
