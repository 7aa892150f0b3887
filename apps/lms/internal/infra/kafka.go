package infra

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lms/apps/lms/internal/supervisor"
)

const (
	kafkaName    = "kafka"
	kafkaVersion = "4.3.1"
	// kafkaSum is over the names and SHA-256 sums of all its files.
	kafkaSum = "94c2f0fb38087896ee44f6a37eb6f20965084ebc06ea91ab75a9b6d6ae54ad9f"
	// kafkaCluster is the id under which the data folder is formatted.
	kafkaCluster = "bG1zLWRldmVsb3BtZW50LQ"
)

// kafka is Apache Kafka as one KRaft node. Topics are made at their first use,
// with one partition (dapr/README.md says why) and 30 days of history.
func kafka() Component {
	return Component{
		Name: kafkaName, Kind: supervisor.KindBroker, Variables: []string{"LMS_KAFKA_BROKERS"}, Ports: 2,
		values: func(s Site) map[string]string { return map[string]string{"LMS_KAFKA_BROKERS": s.address(0)} },
		processes: func(ctx context.Context, s Site) ([]supervisor.Process, error) {
			java, err := findJava(ctx, 17)
			if err != nil {
				return nil, err
			}
			libs, err := fetchKafka(ctx, s.Say)
			if err != nil {
				return nil, err
			}
			logs := s.file("log")
			file, err := s.configure("server.properties", kafkaProperties(s, logs)...)
			if err != nil {
				return nil, err
			}
			log4j, err := s.configure("log4j2.properties", kafkaLogging()...)
			if err != nil {
				return nil, err
			}
			base := []string{"-Dlog4j2.configurationFile=" + log4j, "-cp", filepath.Join(libs, "*")}
			if _, err := os.Stat(filepath.Join(logs, "meta.properties")); errors.Is(err, os.ErrNotExist) {
				format := append(slices.Clone(base), "kafka.tools.StorageTool", "format", "--cluster-id", kafkaCluster, "--config", file)
				if _, err := output(ctx, s.data(), java, format...); err != nil {
					return nil, fmt.Errorf("format its data folder: %w", err)
				}
			}
			args := append([]string{"-Xms64m", "-Xmx384m", "-XX:+UseSerialGC"}, base...)
			return []supervisor.Process{s.process(s.Name, "kafka", s.Ports[0], supervisor.Program{
				Path: java, Args: append(args, "kafka.Kafka", file), Env: s.environment(), Grace: 30 * time.Second,
			})}, nil
		},
	}
}

func kafkaProperties(s Site, logs string) []string {
	return []string{
		"process.roles=broker,controller", "node.id=1",
		"controller.quorum.voters=1@" + s.address(1),
		"listeners=PLAINTEXT://" + s.address(0) + ",CONTROLLER://" + s.address(1),
		"advertised.listeners=PLAINTEXT://" + s.address(0),
		"controller.listener.names=CONTROLLER", "inter.broker.listener.name=PLAINTEXT",
		"log.dirs=" + logs,
		"num.partitions=1", "auto.create.topics.enable=true",
		"log.retention.hours=720",
		// A single node has no others to copy to.
		"offsets.topic.replication.factor=1", "offsets.topic.num.partitions=4",
		"transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
		"share.coordinator.state.topic.replication.factor=1", "share.coordinator.state.topic.min.isr=1",
		// Consumers start at once, and a killed one is missed after 6 s.
		"group.initial.rebalance.delay.ms=0", "group.min.session.timeout.ms=6000",
		"controlled.shutdown.enable=true",
	}
}

func kafkaLogging() []string {
	return []string{
		"status = error",
		"appender.console.type = Console", "appender.console.name = console",
		"appender.console.layout.type = PatternLayout", "appender.console.layout.pattern = %d{ISO8601} %p %c{1}: %m%n",
		"rootLogger.level = warn", "rootLogger.appenderRef.console.ref = console",
	}
}

// kafkaProject is what Maven resolves: the broker and its tools with all they
// depend on.
const kafkaProject = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>lms</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + kafkaVersion + `</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>` + kafkaVersion + `</version></dependency>
  </dependencies>
</project>
`

// fetchKafka returns the folder of Kafka's jars.
func fetchKafka(ctx context.Context, say func(string)) (string, error) {
	dir := filepath.Join(cacheDir(), "kafka-"+kafkaVersion)
	libs := filepath.Join(dir, "libs")
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	unlock, err := lockDir(ctx, dir)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(libs); err == nil {
		return libs, nil
	}
	mvn, err := lookPath("mvn", "maven")
	if err != nil {
		return "", err
	}
	say("fetching Apache Kafka " + kafkaVersion + " from Maven into " + dir + " (once, 54 MB)")
	pom, fresh := filepath.Join(dir, "pom.xml"), libs+".new"
	if err := os.WriteFile(pom, []byte(kafkaProject), 0o600); err != nil {
		return "", fmt.Errorf("write the list of what to fetch: %w", err)
	}
	if err := os.RemoveAll(fresh); err != nil {
		return "", fmt.Errorf("clear an old folder: %w", err)
	}
	if _, err := output(ctx, dir, mvn, "--batch-mode", "--quiet", "--file", pom, "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+fresh); err != nil {
		return "", err
	}
	sum, err := sumOf(fresh)
	if err != nil {
		return "", err
	}
	if sum != kafkaSum {
		return "", fmt.Errorf("what Maven fetched into %s is not Kafka %s as it was tried: its sum is %s, not %s", fresh, kafkaVersion, sum, kafkaSum)
	}
	if err := os.Rename(fresh, libs); err != nil {
		return "", fmt.Errorf("keep Kafka: %w", err)
	}
	return libs, nil
}

// sumOf changes with the name or the bytes of any file of a folder.
func sumOf(dir string) (string, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return "", fmt.Errorf("read what was fetched: %w", err)
	}
	whole := sha256.New()
	for _, e := range entries {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", fmt.Errorf("read what was fetched: %w", err)
		}
		one := sha256.New()
		_, err = io.Copy(one, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", fmt.Errorf("read what was fetched: %w", err)
		}
		_, _ = fmt.Fprintf(whole, "%s %x\n", e.Name(), one.Sum(nil)) // a hash takes everything
	}
	return hex.EncodeToString(whole.Sum(nil)), nil
}
