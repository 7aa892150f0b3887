package infra

import (
	"context"
	"net"
	"time"

	"lms/apps/lms/internal/supervisor"
)

// mailServer takes every mail and keeps it as a file, where the embedded profile
// puts it too.
func mailServer() Component {
	return Component{
		Name: "smtp", Kind: supervisor.KindStore, Ports: 1,
		Variables: []string{"LMS_SMTP_HOST", "LMS_SMTP_PORT", "LMS_SMTP_USER", "LMS_SMTP_SENDER", "LMS_SMTP_ALLOW_PLAINTEXT"},
		values: func(s Site) map[string]string {
			host, port, _ := net.SplitHostPort(s.address(0)) // made of a number
			return map[string]string{
				"LMS_SMTP_HOST": host, "LMS_SMTP_PORT": port, "LMS_SMTP_USER": "", "LMS_SMTP_SENDER": "", "LMS_SMTP_ALLOW_PLAINTEXT": "true",
			}
		},
		processes: func(_ context.Context, s Site) ([]supervisor.Process, error) {
			return []supervisor.Process{s.process(s.Name, "smtp", s.Ports[0], supervisor.Program{
				Path: s.Program, Args: []string{"mail-server", "--listen", s.address(0), "--dir", s.Home.Mail()}, Env: s.environment(), Grace: 5 * time.Second,
			})}, nil
		},
	}
}
