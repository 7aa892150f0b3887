package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

const observability = "../observability"

func read(t *testing.T, parts ...string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(parts...))
	require.NoError(t, err)
	return raw
}

// ruleGroups parses the rules as Prometheus does.
func ruleGroups(t *testing.T) *rulefmt.RuleGroups {
	t.Helper()
	groups, errs := rulefmt.Parse(read(t, observability, "alerts.yaml"), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	return groups
}

func alerts(t *testing.T) []rulefmt.Rule {
	t.Helper()
	var found []rulefmt.Rule
	for _, g := range ruleGroups(t).Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				found = append(found, r)
			}
		}
	}
	return found
}

func TestEveryAlertHasARunbookAndASeverity(t *testing.T) {
	t.Parallel()
	readme := string(read(t, observability, "README.md"))
	for _, a := range alerts(t) {
		require.Contains(t, []string{"critical", "warning"}, a.Labels["severity"], a.Alert)
		require.NotEmpty(t, a.Annotations["summary"], a.Alert)
		require.Equal(t, "deploy/observability/README.md#"+strings.ToLower(a.Alert), a.Annotations["runbook"])
		_, text, found := strings.Cut(readme, "\n### "+a.Alert+"\n")
		require.True(t, found, "no runbook for %s", a.Alert)
		text, _, _ = strings.Cut(text, "\n### ")
		require.Greater(t, len(strings.Fields(text)), 20, a.Alert)
	}
}

// ruleTest is a file for promtool test rules, as far as it is used here.
type ruleTest struct {
	RuleFiles []string `yaml:"rule_files"`
	Interval  string   `yaml:"evaluation_interval"`
	Tests     []struct {
		Interval string `yaml:"interval"`
		Series   []struct {
			Series string `yaml:"series"`
			Values string `yaml:"values"`
		} `yaml:"input_series"`
		Alerts []struct {
			At       string `yaml:"eval_time"`
			Name     string `yaml:"alertname"`
			Expected []struct {
				Labels map[string]string `yaml:"exp_labels"`
			} `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

func ruleTests(t *testing.T) ruleTest {
	t.Helper()
	var file ruleTest
	dec := yaml.NewDecoder(strings.NewReader(string(read(t, observability, "alerts_test.yaml"))))
	dec.KnownFields(true)
	require.NoError(t, dec.Decode(&file))
	require.Equal(t, []string{"alerts.yaml"}, file.RuleFiles)
	return file
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := model.ParseDuration(text)
	require.NoError(t, err)
	return time.Duration(d)
}

func TestAlertsFireWhenTheyShouldAndOnlyThen(t *testing.T) {
	t.Parallel()
	file := ruleTests(t)
	fired := map[string]bool{}
	for i, c := range file.Tests {
		var load strings.Builder
		fmt.Fprintf(&load, "load %s\n", c.Interval)
		for _, s := range c.Series {
			fmt.Fprintf(&load, "  %s %s\n", s.Series, s.Values)
		}
		storage := promqltest.LoadedStorage(t, load.String())
		engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
		manager := rules.NewManager(&rules.ManagerOptions{
			QueryFunc: rules.EngineQueryFunc(engine, storage), AppendableV2: storage, Parser: parser.NewParser(parser.Options{}), Logger: slog.New(slog.DiscardHandler), Queryable: storage, Context: t.Context(),
			NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
		})
		groups, errs := manager.LoadGroups(duration(t, file.Interval), labels.EmptyLabels(), "", nil, false, filepath.Join(observability, "alerts.yaml"))
		require.Empty(t, errs)
		var last time.Duration
		for _, a := range c.Alerts {
			last = max(last, duration(t, a.At))
		}
		for at := time.Duration(0); at <= last; at += duration(t, file.Interval) {
			for _, name := range slices.Sorted(maps.Keys(groups)) {
				groups[name].Eval(t.Context(), time.Unix(0, 0).UTC().Add(at))
			}
			for _, a := range c.Alerts {
				if duration(t, a.At) != at {
					continue
				}
				var want, got []string
				for _, e := range a.Expected {
					want = append(want, fmt.Sprint(e.Labels))
					fired[a.Name] = true
				}
				for _, g := range groups {
					for _, r := range g.AlertingRules() {
						for _, alert := range r.ActiveAlerts() {
							if r.Name() == a.Name && alert.State == rules.StateFiring {
								set := alert.Labels.Map()
								delete(set, "alertname")
								got = append(got, fmt.Sprint(set))
							}
						}
					}
				}
				require.ElementsMatch(t, want, got, "history %d, %s at %s", i+1, a.Name, a.At)
			}
		}
	}
	for _, a := range alerts(t) {
		require.True(t, fired[a.Alert], "no history in which %s fires", a.Alert)
	}
}

var metricName = regexp.MustCompile(`\blms_[a-z0-9_]+`)

// declared are the metrics of the services' kit, with what Prometheus adds.
func declared(t *testing.T) []string {
	t.Helper()
	source := string(read(t, "../../shared/telemetry/metrics.go"))
	var names []string
	for _, m := range regexp.MustCompile(`\b(counter|gauge|histogram)\("([a-z0-9_]+)"|Name: "(lms_[a-z0-9_]+)"`).FindAllStringSubmatch(source, -1) {
		switch {
		case m[3] != "":
			names = append(names, m[3])
		case m[1] == "histogram":
			names = append(names, "lms_"+m[2]+"_bucket", "lms_"+m[2]+"_count", "lms_"+m[2]+"_sum")
		default:
			names = append(names, "lms_"+m[2])
		}
	}
	require.Greater(t, len(names), 10)
	return names
}

func TestRulesAndPanelsNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	known := declared(t)
	recorded := []string{}
	check := func(where, expr string) {
		_, err := parser.NewParser(parser.Options{}).ParseExpr(strings.ReplaceAll(expr, "$service", ".*"))
		require.NoError(t, err, "%s: %s", where, expr)
		for _, r := range recorded {
			expr = strings.ReplaceAll(expr, r, "")
		}
		for _, name := range metricName.FindAllString(expr, -1) {
			require.Contains(t, known, name, where)
		}
	}
	for _, g := range ruleGroups(t).Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				recorded = append(recorded, r.Record)
			}
			check(r.Alert+r.Record, r.Expr)
		}
	}
	boards, err := filepath.Glob(filepath.Join(observability, "dashboards", "*.json"))
	require.NoError(t, err)
	require.Len(t, boards, 2)
	for _, path := range boards {
		var board struct {
			UID    string `json:"uid"`
			Panels []struct {
				ID          int    `json:"id"`
				Title       string `json:"title"`
				Description string `json:"description"`
				Grid        struct {
					X, Y, W, H int
				} `json:"gridPos"`
				Targets []struct {
					Expr string `json:"expr"`
				} `json:"targets"`
			} `json:"panels"`
		}
		require.NoError(t, json.Unmarshal(read(t, path), &board))
		require.Equal(t, filepath.Base(path), board.UID+".json")
		for _, p := range board.Panels {
			require.NotEmpty(t, p.Description, p.Title)
			require.LessOrEqual(t, p.Grid.X+p.Grid.W, 24, p.Title)
			require.NotEmpty(t, p.Targets, p.Title)
			for _, target := range p.Targets {
				check(path+" "+p.Title, target.Expr)
			}
		}
	}
}
