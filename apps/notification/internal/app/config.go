package app

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Config is what notification is told besides the settings of every service.
type Config struct {
	SealingKey         string        `secret:"true" desc:"seals webhook secrets and signs links that stop mail; at least 32 characters; the secret notification-sealing-key if not set"`
	SealingKeyPrevious string        `secret:"true" desc:"the one before, while links and secrets that it made are still in use; the secret notification-sealing-key-previous if not set"`
	LinkBase           string        `desc:"address of the web client that links in messages lead to; the public URL if not set"`
	Templates          string        `desc:"folder with an operator's own texts, <language>.tmpl, looked at every 5 s; none if not set"`
	ListSize           int           `default:"1000" desc:"messages in a person's list, 50 to 2000; the oldest read ones go first"`
	LookBack           time.Duration `default:"1h" desc:"on a state store that holds nothing yet: how long before its first use something may have happened to be mailed, 1m to 720h; what is older is only listed"`
	WebhookNetworks    []string      `desc:"networks that webhooks may reach although they are not public, by commas: 10.1.0.0/16; with any, http:// is taken too"`
}

func (c Config) check() error {
	var errs []error
	if c.ListSize < 50 || c.ListSize > 2000 {
		errs = append(errs, fmt.Errorf("configuration: LMS_NOTIFICATION_LIST_SIZE is %d, not between 50 and 2000", c.ListSize))
	}
	if c.LookBack < time.Minute || c.LookBack > 720*time.Hour {
		errs = append(errs, fmt.Errorf("configuration: LMS_NOTIFICATION_LOOK_BACK is %s, not between 1m and 720h", c.LookBack))
	}
	if c.LinkBase != "" {
		if u, err := url.Parse(c.LinkBase); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			errs = append(errs, errors.New("configuration: LMS_NOTIFICATION_LINK_BASE is no address such as https://learn.example"))
		}
	}
	return errors.Join(errs...)
}

func (c Config) linkBase(public string) string {
	if c.LinkBase == "" {
		return strings.TrimSuffix(public, "/")
	}
	return strings.TrimSuffix(c.LinkBase, "/")
}
