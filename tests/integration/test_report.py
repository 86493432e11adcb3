"""The report of a run, opened from disk in a real browser: Chromium, of Debian's packages, without a window."""

import itertools
import shutil

import keras
import numpy as np
import pytest

import keras_noisy_student as kns
from keras_noisy_student.noise import seeds

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium drives the browser.")

from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="No Chromium: apt-get install chromium chromium-driver"
)
LEAST_CONTRAST = 4.5
"""Of text, by WCAG 2.2, level AA."""


class Reporting(kns.NoisyStudentTrainer):
    report = kns.report.Report(num_examples=4)


def images(num):
    y = (np.arange(num) % 3).astype("int32")
    x = np.random.default_rng(num).normal(60, 20, (num, 6, 6, 1))
    for row, label in enumerate(y):
        x[row, 2 * label : 2 * label + 2] += 60
    return x.clip(0, 255).astype("uint8"), y


def brighten(x, noise_seed):
    return keras.ops.cast(x, "float32") + 60 * seeds.uniform(noise_seed, 1)[:, :, None, None]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a run of two rounds."""
    directory = tmp_path_factory.mktemp("run")
    layers = [keras.Input((6, 6, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    trainer = Reporting(
        keras.Sequential([*layers, keras.layers.Dense(3, "softmax")]),
        kns.Classification(num_classes=3, class_names=["cat", "dog", "emu"]),
        kns.Noise(brighten),
        kns.PseudoLabeling(confidence_threshold=0.4, examples_per_class="auto"),
        directory=str(directory),
    )
    trainer.compile(keras.optimizers.Adam(0.02), metrics=["accuracy"])
    pool, pool_labels = images(60)
    trainer.fit_rounds(
        images(30), pool, pool_labels, num_rounds=1, batch_size=10, epochs=3, validation_data=images(36), verbose=0
    )
    return directory / "report.html"


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options=options, service=Service(DRIVER)) as driver:
        yield driver


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture
def opened(browser, report):
    """Opens the report as a fresh page, of a width and a colour scheme."""

    def open_page(*, scheme="light", width=1200):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(report.as_uri())
        return browser

    return open_page


def tabs(browser):
    return browser.find_elements("css selector", '[role="tab"]')


def shown_panels(browser):
    return [
        panel.get_attribute("id") for panel in browser.find_elements("css selector", ".panel") if panel.is_displayed()
    ]


def each_panel(browser):
    for tab in tabs(browser):
        tab.click()
        yield tab.text


def test_it_asks_for_nothing_but_itself_and_has_no_error(opened, report):
    browser = opened()
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(report.as_uri())
    list(each_panel(browser))
    assert browser.get_log("browser") == []
    events = [entry["message"] for entry in browser.get_log("performance")]
    requests = [event for event in events if '"Network.requestWillBeSent"' in event and '"url":"data:' not in event]
    assert all(f'"url":"{report.as_uri()}"' in event for event in requests)
    assert len(requests) == 1
    assert "Noisy Student" in browser.title


def test_every_picture_is_there(opened):
    browser = opened()
    num_images = num_plots = 0
    for _ in each_panel(browser):
        images_shown = browser.execute_script(
            "return [...document.querySelectorAll('.panel:not([hidden]) img')]"
            ".map(image => [image.complete, image.naturalWidth, image.alt])"
        )
        plots_shown = browser.execute_script(
            "return [...document.querySelectorAll('.panel:not([hidden]) svg')]"
            ".map(svg => [svg.getBBox().width, svg.clientWidth, svg.getAttribute('aria-label')])"
        )
        assert all(complete and width and alt for complete, width, alt in images_shown)
        assert all(box > 50 and width > 50 and label for box, width, label in plots_shown)
        num_images, num_plots = num_images + len(images_shown), num_plots + len(plots_shown)
    assert num_plots == 2 + 3 + 5
    assert num_images >= 2 * 6 * 4 + 2 * 4


def test_ids_are_unique(opened):
    ids = opened().execute_script("return [...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids))


def test_tabs_work_with_the_mouse(opened):
    browser = opened()
    assert shown_panels(browser) == ["overview"]
    for tab in tabs(browser):
        tab.click()
        assert shown_panels(browser) == [tab.get_attribute("aria-controls")]
        assert [each.get_attribute("aria-selected") == "true" for each in tabs(browser)] == [
            each == tab for each in tabs(browser)
        ]


def test_tabs_work_with_the_keyboard(opened):
    browser = opened()
    assert [tab.text for tab in tabs(browser)] == ["Overview", "Teacher", "Student 1", "Settings"]

    def press(key):
        browser.switch_to.active_element.send_keys(key)
        return shown_panels(browser)[0]

    press(Keys.TAB)
    assert browser.switch_to.active_element == tabs(browser)[0]
    keys = [Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_RIGHT, Keys.END, Keys.HOME]
    assert [press(key) for key in keys] == ["round-0", "overview", "settings", "overview", "settings", "overview"]
    assert [tab.get_attribute("tabindex") for tab in tabs(browser)] == ["0", "-1", "-1", "-1"]
    press(Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("id") == "overview"


def test_everything_is_there_without_javascript(opened, browser):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened()
        assert shown_panels(browser) == ["overview", "round-0", "round-1", "settings"]
        assert not any(tab.is_displayed() for tab in tabs(browser))
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_is_wider_than_the_screen(opened, width):
    browser = opened(width=width)
    for title in each_panel(browser):
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, title


def luminance(color):
    def linear(level):
        return level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(float(level) / 255) for level in color[color.index("(") + 1 : -1].split(",")[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, two):
    darker, lighter = sorted([luminance(one), luminance(two)])
    return (lighter + 0.05) / (darker + 0.05)


def test_text_can_be_read_in_both_schemes(opened, scheme):
    browser = opened(scheme=scheme)
    page, card = browser.execute_script(
        "return ['body', '.panel'].map(name => getComputedStyle(document.querySelector(name)).backgroundColor)"
    )
    assert (luminance(page) < 0.05) == (scheme == "dark")
    assert (luminance(card) < 0.05) == (scheme == "dark")
    for title in each_panel(browser):
        colors = browser.execute_script(
            "return [...document.querySelectorAll('.panel:not([hidden]) *')]"
            ".filter(element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()))"
            ".map(element => getComputedStyle(element)[element.closest('svg') ? 'fill' : 'color'])"
        )
        assert colors
        for color in set(colors):
            assert contrast(color, card) >= LEAST_CONTRAST, (title, color)


def test_curves_and_bars_stand_out_in_both_schemes(opened, scheme):
    browser = opened(scheme=scheme)
    card, *colors = browser.execute_script(
        "const of = name => { const e = document.createElement('i'); e.style.color = `var(--${name})`;"
        "document.body.append(e); return getComputedStyle(e).color; };"
        "return ['card', 'first', 'second', 'third', 'fourth'].map(of)"
    )
    assert all(contrast(color, card) >= 3 for color in colors)
    assert all(one != two for one, two in itertools.combinations(colors, 2))


def test_axe_finds_no_barrier(opened, scheme):
    axe = pytest.importorskip("axe_core_python.selenium", reason="axe-core checks accessibility.").Axe()
    browser = opened(scheme=scheme)
    for title in each_panel(browser):
        found = axe.run(browser)
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == [], title
        assert len(found["passes"]) > 20
