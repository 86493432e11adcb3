.PHONY: check lint test format docs

SITE = build/docs

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

docs:
	sphinx-build --fail-on-warning --keep-going --quiet --fresh-env docs $(SITE)
