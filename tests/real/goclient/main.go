// Command goclient does with OpenZiti's Go SDK what the tests ask for: enroll an identity, log in by
// certificate or by password, list the services.
//
// It prints one JSON object per line on stdout; errors go to stderr with exit code 1.
package main

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	edgeapis "github.com/openziti/sdk-golang/edge-apis"
	"github.com/openziti/sdk-golang/ziti"
	"github.com/openziti/sdk-golang/ziti/enroll"
)

const usage = `usage:
  goclient enroll --jwt FILE --out FILE [--cert FILE --key FILE] [--name NAME] [--username NAME] [--password WORD] [--alg EC|RSA]
  goclient services --identity FILE
  goclient login --url URL --username NAME --password WORD --ca FILE
Every command takes --timeout DURATION (default 20s).`

var commands = map[string]func(*flag.FlagSet, []string) error{
	"enroll":   runEnroll,
	"services": runServices,
	"login":    runLogin,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(1)
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ContinueOnError)
	if err := commands[os.Args[1]](flags, os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// start parses the flags and ends the process when the time is over: the SDK's enrollment takes no deadline.
func start(flags *flag.FlagSet, args []string) (time.Duration, error) {
	limit := flags.Duration("timeout", 20*time.Second, "time for the whole command")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	time.AfterFunc(*limit, func() {
		fmt.Fprintln(os.Stderr, "error: timed out after", *limit)
		os.Exit(1)
	})
	return *limit, nil
}

func runEnroll(flags *flag.FlagSet, args []string) error {
	jwtFile := flags.String("jwt", "", "file with the enrollment token")
	out := flags.String("out", "", "identity file to write; not written for updb")
	options := enroll.EnrollmentFlags{}
	flags.StringVar(&options.CertFile, "cert", "", "client certificate, for ottca and ca")
	flags.StringVar(&options.KeyFile, "key", "", "key of the client certificate")
	flags.StringVar(&options.IDName, "name", "", "name of the identity, for ca")
	flags.StringVar(&options.Username, "username", "", "user name, for updb")
	flags.StringVar(&options.Password, "password", "", "password, for updb")
	alg := flags.String("alg", "EC", "kind of the new key")
	if _, err := start(flags, args); err != nil {
		return err
	}
	if err := options.KeyAlg.Set(*alg); err != nil {
		return err
	}
	text, err := os.ReadFile(*jwtFile)
	if err != nil {
		return err
	}
	options.JwtString = strings.TrimSpace(string(text))
	if options.Token, options.JwtToken, err = enroll.ParseToken(options.JwtString); err != nil {
		return fmt.Errorf("token refused: %w", err)
	}
	if options.Token.EnrollmentMethod == "updb" {
		name, err := enroll.EnrollUpdb(options)
		if err != nil {
			return err
		}
		return show(map[string]any{"method": "updb", "username": name, "subject": options.Token.Subject})
	}
	config, err := enroll.Enroll(options)
	if err != nil {
		return err
	}
	return writeIdentity(config, *out, options.Token)
}

func writeIdentity(config *ziti.Config, file string, token *ziti.EnrollmentClaims) error {
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	return show(map[string]any{"method": token.EnrollmentMethod, "subject": token.Subject, "ztAPI": config.ZtAPI, "file": file})
}

func runServices(flags *flag.FlagSet, args []string) error {
	file := flags.String("identity", "", "identity file as written by enroll")
	limit, err := start(flags, args)
	if err != nil {
		return err
	}
	config, err := ziti.NewConfigFromFile(*file)
	if err != nil {
		return err
	}
	return listServices(config, limit)
}

func runLogin(flags *flag.FlagSet, args []string) error {
	address := flags.String("url", "", "https://host:port of the controller")
	username := flags.String("username", "", "user name")
	password := flags.String("password", "", "password")
	caFile := flags.String("ca", "", "PEM file with the certificates to trust")
	limit, err := start(flags, args)
	if err != nil {
		return err
	}
	pool, err := readPool(*caFile)
	if err != nil {
		return err
	}
	credentials := edgeapis.NewUpdbCredentials(*username, *password)
	credentials.CaPool = pool
	api, err := url.JoinPath(*address, "/edge/client/v1")
	if err != nil {
		return err
	}
	return listServices(&ziti.Config{ZtAPI: api, Credentials: credentials}, limit)
}

func readPool(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return pool, nil
}

// listServices logs in with what the configuration holds and prints the session and each service.
func listServices(config *ziti.Config, limit time.Duration) error {
	options := *ziti.DefaultOptions
	options.HttpTimeout = limit
	zitiContext, err := ziti.NewContextWithOpts(config, &options)
	if err != nil {
		return err
	}
	defer zitiContext.Close()
	if err := zitiContext.Authenticate(); err != nil {
		return fmt.Errorf("login failed: %w", err)
	}
	implementation, ok := zitiContext.(*ziti.ContextImpl)
	if !ok {
		return errors.New("the SDK's context has another type than expected")
	}
	session := implementation.CtrlClt.GetCurrentApiSession()
	if err := show(map[string]any{"identity": session.GetIdentityId(), "name": session.GetIdentityName()}); err != nil {
		return err
	}
	services, err := implementation.CtrlClt.GetServices()
	if err != nil {
		return fmt.Errorf("no services: %w", err)
	}
	for _, service := range services {
		if err := show(map[string]any{"service": *service.ID, "name": *service.Name, "permissions": service.Permissions}); err != nil {
			return err
		}
	}
	return nil
}

func show(value map[string]any) error {
	return json.NewEncoder(os.Stdout).Encode(value)
}
