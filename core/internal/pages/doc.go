// Package pages holds the test of the documentation: every code block of every page is run or compiled, every link is
// followed. Run it with: make test-pages
//
// What follows a block's language says what the test does with it:
//
//	file=NAME   the block is that file, for the blocks after it in its section
//	background  a shell block that keeps running while the page is read: the fake cluster of the blocks after it
//	output      a text block that the block before it prints; "..." stands for anything
//	compile     not run: it needs what no test has, or a block after it runs it
//	pytest      run by pytest
//	network     a shell block that downloads: left to `make newcomer`
//
// A section begins in a checkout of the repository. The address of a Manager in a block, http://manager:8083 or
// http://127.0.0.1:8083, is replaced by that of a fake cluster, and those that a background block listens on by free ones; so
// is localhost:PORT, on which a page has servers of its own.
//
// A Dockerfile and a unit of systemd are not run: their syntax is checked, as far as this machine has what knows it. A crontab's commands are
// run as cron runs them, with the folders of the system below one of the test.
package pages
