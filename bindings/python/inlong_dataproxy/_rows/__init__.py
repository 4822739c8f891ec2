"""Rows of CSV and KV streams: values to texts, texts to rows, and where rows come from."""
