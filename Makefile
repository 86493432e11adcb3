.PHONY: check lint test format

check: lint test

lint:
	ruff check .
	ruff format --check .
	mypy

test:
	pytest

format:
	ruff check --fix .
	ruff format .
