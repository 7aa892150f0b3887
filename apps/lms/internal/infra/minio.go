package infra

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"lms/apps/lms/internal/supervisor"
	"lms/shared/locals3"
)

// Secrets with which services and server know each other.
const (
	s3AccessKey = "s3-access-key"
	s3SecretKey = "s3-secret-key"
)

// bucket is the one for all objects.
const bucket = "lms"

// minio is an S3 server with one bucket.
func minio() Component {
	return Component{
		Name: "minio", Kind: supervisor.KindStore, Variables: []string{"LMS_S3_URL"}, Ports: 1,
		values: func(s Site) map[string]string {
			return map[string]string{"LMS_S3_URL": locals3.Address(bucket, s.address(0))}
		},
		processes: func(ctx context.Context, s Site) ([]supervisor.Process, error) {
			program, err := locals3.Build(ctx, s.Root, s.Say)
			if err != nil {
				return nil, err
			}
			return []supervisor.Process{s.process(s.Name, "http", s.Ports[0], supervisor.Program{
				Path: program, Args: []string{"server", "--quiet", "--address", s.address(0), s.file("objects")}, Grace: 10 * time.Second,
				Env: append(s.environment(), "GOMEMLIMIT=256MiB", "MINIO_BROWSER=off",
					"MINIO_ROOT_USER="+s.Secrets[s3AccessKey], "MINIO_ROOT_PASSWORD="+s.Secrets[s3SecretKey]),
			})}, nil
		},
		prepare: makeBucket,
	}
}

// makeBucket repeats itself while the server still starts.
func makeBucket(ctx context.Context, s Site) error {
	client := s3.New(s3.Options{
		Region: locals3.Region, BaseEndpoint: aws.String("http://" + s.address(0)), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.Secrets[s3AccessKey], s.Secrets[s3SecretKey], ""),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = 60, time.Second
			o.RateLimiter = ratelimit.None // the context bounds them
		}),
	})
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	var mine *types.BucketAlreadyOwnedByYou
	if err != nil && !errors.As(err, &mine) {
		return fmt.Errorf("make the bucket: %w", err)
	}
	return nil
}
