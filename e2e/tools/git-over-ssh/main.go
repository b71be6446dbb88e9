// git-over-ssh serves the Git repositories below one folder to those whose public key it knows, and does nothing else.
//
// It listens on a free port of the loopback address, writes one line of JSON with its address and its host key, and ends
// when its standard input does, so that it never outlives the test that started it.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

func main() {
	root := flag.String("root", "", "folder of the repositories")
	authorized := flag.String("authorized", "", "file with the one public key that is let in")
	flag.Parse()
	if err := serve(*root, *authorized); err != nil {
		log.Fatal(err)
	}
}

func serve(root, authorized string) error {
	text, err := os.ReadFile(authorized)
	if err != nil {
		return err
	}
	known, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return fmt.Errorf("%s: %w", authorized, err)
	}
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if bytes.Equal(key.Marshal(), known.Marshal()) {
				return nil, nil
			}
			return nil, errors.New("unknown key")
		},
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	host, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return err
	}
	config.AddHostKey(host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey())))
	ready := map[string]string{"address": listener.Addr().String(), "hostKey": key}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go talk(connection, config, root)
	}
}

func talk(connection net.Conn, config *ssh.ServerConfig, root string) {
	defer connection.Close()
	_, channels, requests, err := ssh.NewServerConn(connection, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for channel := range channels {
		if channel.ChannelType() != "session" {
			_ = channel.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		session, requests, err := channel.Accept()
		if err != nil {
			return
		}
		go answer(session, requests, root)
	}
}

// answer runs the one command of a session.
func answer(session ssh.Channel, requests <-chan *ssh.Request, root string) {
	defer session.Close()
	protocol := ""
	for request := range requests {
		switch request.Type {
		case "env":
			var variable struct{ Name, Value string }
			if ssh.Unmarshal(request.Payload, &variable) == nil && variable.Name == "GIT_PROTOCOL" {
				protocol = variable.Value
			}
			_ = request.Reply(true, nil)
		case "exec":
			var command struct{ Line string }
			_ = ssh.Unmarshal(request.Payload, &command)
			_ = request.Reply(true, nil)
			status := struct{ Code uint32 }{git(session, command.Line, protocol, root)}
			_, _ = session.SendRequest("exit-status", false, ssh.Marshal(status))
			return
		default:
			_ = request.Reply(false, nil)
		}
	}
}

// git runs `git-upload-pack 'PATH'` or `git-receive-pack 'PATH'` below the root, and nothing else.
func git(session ssh.Channel, line, protocol, root string) uint32 {
	program, quoted, _ := strings.Cut(line, " ")
	verb, isGit := strings.CutPrefix(program, "git-")
	if !isGit || verb != "upload-pack" && verb != "receive-pack" {
		fmt.Fprintf(session.Stderr(), "only git-upload-pack and git-receive-pack are served\n")
		return 128
	}
	// Clean of an absolute path never leads above it.
	path := filepath.Join(root, filepath.Clean("/"+strings.Trim(quoted, "'")))
	command := exec.Command("git", verb, path)
	command.Env = append(os.Environ(), "GIT_PROTOCOL="+protocol, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	command.Stdout, command.Stderr = session, session.Stderr()
	input, err := command.StdinPipe()
	if err != nil {
		return 1
	}
	if err := command.Start(); err != nil {
		fmt.Fprintln(session.Stderr(), err)
		return 1
	}
	// The client may keep its side open after the command has ended.
	go func() {
		_, _ = io.Copy(input, session)
		_ = input.Close()
	}()
	if err := command.Wait(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return uint32(exit.ExitCode())
		}
		return 1
	}
	return 0
}
