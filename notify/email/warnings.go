package email

import "hacheck/notify/secret"

// Warnings tells what is wrong, at this moment and for this account, with the
// files the channel will read. It is for a check of the configuration.
func (n *Notifier) Warnings() []string {
	var warnings []string
	if n.cfg.PasswordFile != "" {
		warnings = secret.Warnings("password_file", n.cfg.PasswordFile)
	}
	if n.cfg.CAFile != "" {
		if _, err := secret.ReadCAs(n.cfg.CAFile); err != nil {
			warnings = append(warnings, "ca_file: "+err.Error())
		}
	}
	return warnings
}
