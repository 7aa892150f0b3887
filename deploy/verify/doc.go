// Package verify holds what is under deploy/ against the schemas and libraries
// of the programs that read it: Prometheus' rules, Compose files, the Helm chart
// and what it renders. It has a module of its own, so that those libraries do not
// move the product's.
package verify
