//go:build schemas

package verify

// The module that carries Kubernetes' OpenAPI documents is wanted for its files
// alone. No build has the tag.
import _ "sigs.k8s.io/kubectl-validate/pkg/openapiclient"
