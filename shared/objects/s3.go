package objects

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"lms/shared/apperr"
)

// s3Parts is S3's own upload in pieces, which the portable API lacks.
type s3Parts struct {
	client *s3.Client
	sign   *s3.PresignClient
	bucket string
	prefix string
}

func newS3Parts(client *s3.Client, u *url.URL) *s3Parts {
	// The SDK would sign a checksum of the empty body that it sees; the bytes of
	// the whole are verified when it is complete.
	plain := s3.WithPresignClientFromClientOptions(func(o *s3.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	})
	return &s3Parts{client: client, sign: s3.NewPresignClient(client, plain), bucket: u.Host, prefix: u.Query().Get("prefix")}
}

func (p *s3Parts) key(key string) *string { return aws.String(p.prefix + key) }

func (p *s3Parts) start(ctx context.Context, key, contentType string) (string, error) {
	out, err := p.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &p.bucket, Key: p.key(key), ContentType: &contentType})
	if err != nil {
		return "", s3Failure(err)
	}
	return aws.ToString(out.UploadId), nil
}

func (p *s3Parts) presignPart(ctx context.Context, key, token string, number int, size int64, ttl time.Duration, until time.Time) (Signed, error) {
	r, err := p.sign.PresignUploadPart(ctx, &s3.UploadPartInput{
		Bucket: &p.bucket, Key: p.key(key), UploadId: &token, PartNumber: aws.Int32(int32(number)), ContentLength: &size,
	}, s3.WithPresignExpires(ttl))
	if err != nil {
		return Signed{}, s3Failure(err)
	}
	return Signed{Method: http.MethodPut, URL: r.URL, ExpiresAt: until}, nil
}

// listed are all parts; S3 gives them a thousand at a time.
func (p *s3Parts) listed(ctx context.Context, key, token string) ([]types.Part, error) {
	var parts []types.Part
	pages := s3.NewListPartsPaginator(p.client, &s3.ListPartsInput{Bucket: &p.bucket, Key: p.key(key), UploadId: &token})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s3Failure(err)
		}
		parts = append(parts, out.Parts...)
	}
	return parts, nil
}

func (p *s3Parts) list(ctx context.Context, key, token string) ([]Part, error) {
	listed, err := p.listed(ctx, key, token)
	if err != nil {
		return nil, err
	}
	parts := make([]Part, len(listed))
	for i, x := range listed {
		parts[i] = Part{Number: int(aws.ToInt32(x.PartNumber)), Size: aws.ToInt64(x.Size)}
	}
	return parts, nil
}

func (p *s3Parts) join(ctx context.Context, key, token string, count int) error {
	listed, err := p.listed(ctx, key, token)
	if err != nil {
		return err
	}
	done := make([]types.CompletedPart, 0, count)
	for _, x := range listed {
		if int(aws.ToInt32(x.PartNumber)) <= count {
			done = append(done, types.CompletedPart{PartNumber: x.PartNumber, ETag: x.ETag})
		}
	}
	_, err = p.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &p.bucket, Key: p.key(key), UploadId: &token, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	return s3Failure(err)
}

func (p *s3Parts) abort(ctx context.Context, key, token string) error {
	if token == "" {
		return nil
	}
	_, err := p.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &p.bucket, Key: p.key(key), UploadId: &token})
	if err = s3Failure(err); apperr.IsKind(err, apperr.KindNotFound) {
		return nil
	}
	return err
}

// sweep gives up uploads in pieces that were begun before a time.
func (p *s3Parts) sweep(ctx context.Context, before time.Time) error {
	pages := s3.NewListMultipartUploadsPaginator(p.client, &s3.ListMultipartUploadsInput{Bucket: &p.bucket, Prefix: &p.prefix})
	for pages.HasMorePages() {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return s3Failure(err)
		}
		for _, u := range out.Uploads {
			if !aws.ToTime(u.Initiated).Before(before) {
				continue
			}
			_, err := p.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &p.bucket, Key: u.Key, UploadId: u.UploadId})
			if err = s3Failure(err); err != nil && !apperr.IsKind(err, apperr.KindNotFound) {
				return err
			}
		}
	}
	return nil
}

// s3Failure is failure for what S3 itself says.
func s3Failure(err error) error {
	if err == nil {
		return nil
	}
	var said smithy.APIError
	if errors.As(err, &said) {
		switch said.ErrorCode() {
		case "NoSuchUpload", "NoSuchKey", "NotFound":
			return apperr.NotFound("upload").With(err)
		case "EntityTooSmall", "InvalidPart", "InvalidPartOrder":
			return Incomplete().With(err)
		}
	}
	return failure(err)
}
