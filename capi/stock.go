//go:build inlong_runtime_stock

package main

func init() { stock = true }
