"""The contract of payment providers: the behaviour behind `payments.gateways.protocol.Gateway`.

Add a provider to PROVIDERS with a stage, which makes its gateway and acts as its buyer. Alipay's runs against
the simulator.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from payments.gateways import ConfiguredGateways
from payments.gateways.alipay import AlipayConfig, AlipayGateway, read_private_key, read_public_key
from payments.gateways.alipay.wire import BEIJING
from payments.gateways.protocol import (
    Gateway,
    GatewayRejected,
    GatewayUnreachable,
    InvalidSignature,
    Notice,
    PaymentIntent,
    RefundIntent,
    RefundMovement,
    Refusal,
    TradeReport,
    TradeStatus,
)
from payments.states import BillRowKind, Product
from tests.payments.simulator.process import APP_ID, SELLER_ID, Simulator
from tests.payments.simulator.shop import Shop

AMOUNT = Decimal("19.90")
PRODUCTS = list(Product)
OTHER_APP_ID, OTHER_SELLER_ID = "2021000000000002", "2088000000000002"


@dataclass(frozen=True)
class Message:
    """A message from the provider."""

    headers: Mapping[str, str]
    body: bytes

    def verified_by(self, gateway: Gateway) -> Notice:
        return gateway.verify_notification(self.headers, self.body)


class Stage(Protocol):
    """A provider under test, and its buyer."""

    gateway: Gateway
    # The same provider with another app's credentials.
    other: Gateway
    unreachable: Gateway

    def show_up(self, product: Product, intent: PaymentIntent, offer: str) -> None: ...
    def pay(self, product: Product, intent: PaymentIntent, offer: str) -> None: ...
    def notification(self, number: int) -> Message:
        """The first, second, … notification of a test."""
        ...

    def tampered(self, message: Message) -> Iterator[Message]:
        """Copies of the message, each with one field changed or removed."""
        ...

    def way_back(self, intent: PaymentIntent, offer: str) -> dict[str, str]: ...
    def lose_next_answer(self, out_trade_no: str) -> None: ...
    def hold_next_refund(self, out_trade_no: str) -> None: ...
    def refund_elsewhere(self, out_trade_no: str, amount: str, number: str) -> None:
        """A refund without the shop, as in the merchant's console."""
        ...

    def pass_time(self, seconds: float) -> None: ...


@dataclass
class AlipayStage:
    """The simulator as a process, with its clock frozen."""

    simulator: Simulator
    shop: Shop
    gateway: Gateway
    other: Gateway
    unreachable: Gateway

    def show_up(self, product: Product, intent: PaymentIntent, offer: str) -> None:
        self.simulator.http.post(
            f"{self._cashier(product, offer)}/login", data={"account": "buyer@example.com"}
        )

    def pay(self, product: Product, intent: PaymentIntent, offer: str) -> None:
        cashier = self._cashier(product, offer)
        self.simulator.http.post(f"{cashier}/login", data={"account": "buyer@example.com"})
        self.simulator.http.post(f"{cashier}/pay")

    def notification(self, number: int) -> Message:
        received = self.shop.wait_for(number)[number - 1]
        return Message(received.headers, received.body)

    def tampered(self, message: Message) -> Iterator[Message]:
        form = dict(parse_qsl(message.body.decode(), strict_parsing=True))
        for name, value in form.items():
            yield Message(message.headers, urlencode({**form, name: f"{value}1"}).encode())
            yield Message(
                message.headers,
                urlencode({key: value for key, value in form.items() if key != name}).encode(),
            )

    def way_back(self, intent: PaymentIntent, offer: str) -> dict[str, str]:
        cashier = self._cashier(Product.PAGE, offer)
        self.simulator.http.post(f"{cashier}/login", data={"account": "buyer@example.com"})
        response = self.simulator.http.post(f"{cashier}/pay")
        return dict(parse_qsl(urlsplit(response.headers["location"]).query))

    def lose_next_answer(self, out_trade_no: str) -> None:
        self.simulator.fault("disconnect", out_trade_no=out_trade_no)

    def hold_next_refund(self, out_trade_no: str) -> None:
        self.simulator.fault("refund_pending", out_trade_no=out_trade_no, params={"seconds": 60})

    def refund_elsewhere(self, out_trade_no: str, amount: str, number: str) -> None:
        self.simulator.control(
            "POST", f"/trades/{out_trade_no}/refund", {"amount": amount, "out_request_no": number}
        )

    def pass_time(self, seconds: float) -> None:
        self.simulator.advance(seconds)

    def _cashier(self, product: Product, offer: str) -> str:
        if product is Product.APP:
            response = self.simulator.http.post("/gateway.do", data=dict(parse_qsl(offer)))
        else:
            response = self.simulator.http.get(offer)
        assert response.status_code == 302, response.text
        location = str(response.headers["location"])
        return location.replace("/qr/", "/cashier/")


@pytest.fixture(scope="module")
def running_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("contract"))
    simulator.add_merchant(OTHER_APP_ID, OTHER_SELLER_ID)
    simulator.start()
    yield simulator
    simulator.stop()
    simulator.http.close()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Shop]:
    """The endpoint for notifications."""
    shop = Shop()
    stop = shop.start()
    yield shop
    stop()


@pytest.fixture(scope="module")
def make_alipay(running_simulator: Simulator, receiver: Shop) -> Callable[..., AlipayGateway]:
    def make(url: str, app_id: str = APP_ID, seller_id: str = SELLER_ID) -> AlipayGateway:
        folder: Path = running_simulator.state / "keys" / app_id
        return AlipayGateway(
            AlipayConfig(
                gateway_url=url,
                buyer_gateway_url=url,
                app_id=app_id,
                seller_id=seller_id,
                app_private_key=read_private_key(folder / "app_private_key.pem"),
                alipay_public_keys=[read_public_key(folder / "alipay_public_key.pem")],
                notify_url=receiver.url,
                return_url="http://127.0.0.1:9/return",
                timeout_s=3,
            )
        )

    return make


@pytest.fixture
def alipay(running_simulator: Simulator, receiver: Shop, make_alipay: Callable[..., AlipayGateway]) -> Stage:
    running_simulator.control("DELETE", "/settings")
    running_simulator.control("POST", "/wipe")
    running_simulator.freeze()
    receiver.received.clear()
    url = f"{running_simulator.url}/gateway.do"
    return AlipayStage(
        running_simulator,
        receiver,
        gateway=make_alipay(url),
        other=make_alipay(url, OTHER_APP_ID, OTHER_SELLER_ID),
        unreachable=make_alipay("http://127.0.0.1:9/gateway.do"),
    )


PROVIDERS = ("alipay",)


@pytest.fixture(params=PROVIDERS)
def stage(request: pytest.FixtureRequest) -> Stage:
    found: Stage = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def intent() -> PaymentIntent:
    return PaymentIntent(
        "CONTRACT1",
        AMOUNT,
        "Python & Django = 100% 课程/",
        datetime.now(BEIJING).replace(microsecond=0) + timedelta(minutes=30),
    )


def offer_of(gateway: Gateway, product: Product, intent: PaymentIntent) -> str:
    match product:
        case Product.PAGE:
            return gateway.page_url(intent)
        case Product.WAP:
            return gateway.wap_url(intent)
        case Product.APP:
            return gateway.app_order_string(intent)
        case Product.QR:
            return gateway.create_qr(intent)


@pytest.fixture
def paid(stage: Stage, intent: PaymentIntent) -> TradeReport:
    stage.pay(Product.PAGE, intent, stage.gateway.page_url(intent))
    report = stage.gateway.query(intent.out_trade_no)
    assert report is not None
    return report


def refund_of(amount: str, number: str = "CONTRACT1R1") -> RefundIntent:
    return RefundIntent("CONTRACT1", number, Decimal(amount), "不想学了/=&")


# --- Paying -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("product", PRODUCTS)
def test_offer_alone_is_no_trade(stage: Stage, intent: PaymentIntent, product: Product) -> None:
    offer_of(stage.gateway, product, intent)
    assert stage.gateway.query(intent.out_trade_no) is None


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_product_can_be_paid(stage: Stage, intent: PaymentIntent, product: Product) -> None:
    stage.pay(product, intent, offer_of(stage.gateway, product, intent))
    report = stage.gateway.query(intent.out_trade_no)
    assert report is not None
    assert (report.out_trade_no, report.status, report.total_amount) == (
        intent.out_trade_no,
        TradeStatus.PAID,
        AMOUNT,
    )
    assert (report.app_id, report.is_current) == (stage.gateway.app_id, True)
    assert report.refunded in {None, Decimal(0)}
    assert report.paid_at is not None
    assert report.paid_at.utcoffset() is not None


def test_code_for_a_trade_that_is_paid_is_refused_as_that(stage: Stage, intent: PaymentIntent) -> None:
    stage.pay(Product.QR, intent, stage.gateway.create_qr(intent))
    with pytest.raises(GatewayRejected) as refusal:
        stage.gateway.create_qr(intent)
    assert (refusal.value.refusal, refusal.value.is_final) == (Refusal.ALREADY_PAID, True)


@pytest.mark.parametrize("product", [Product.PAGE, Product.QR])
def test_buyer_who_shows_up_creates_the_trade(stage: Stage, intent: PaymentIntent, product: Product) -> None:
    stage.show_up(product, intent, offer_of(stage.gateway, product, intent))
    report = stage.gateway.query(intent.out_trade_no)
    assert report is not None
    assert (report.status, report.total_amount, report.paid_at) == (TradeStatus.WAITING, AMOUNT, None)


def test_trade_ends_when_the_order_does(stage: Stage, intent: PaymentIntent) -> None:
    stage.show_up(Product.PAGE, intent, stage.gateway.page_url(intent))
    stage.pass_time(31 * 60)
    report = stage.gateway.query(intent.out_trade_no)
    assert report is not None
    assert report.status is TradeStatus.CLOSED


# --- Closing ------------------------------------------------------------------------------------------------


def test_close_ends_an_unpaid_trade(stage: Stage, intent: PaymentIntent) -> None:
    stage.show_up(Product.PAGE, intent, stage.gateway.page_url(intent))
    stage.gateway.close(intent.out_trade_no)
    report = stage.gateway.query(intent.out_trade_no)
    assert report is not None
    assert (report.status, report.paid_at) == (TradeStatus.CLOSED, None)


def test_close_of_an_unknown_trade_is_accepted(stage: Stage) -> None:
    stage.gateway.close("CONTRACT404")
    assert stage.gateway.query("CONTRACT404") is None


def test_close_of_a_paid_trade_is_rejected(stage: Stage, paid: TradeReport) -> None:
    with pytest.raises(GatewayRejected) as refusal:
        stage.gateway.close(paid.out_trade_no)
    assert refusal.value.refusal in {Refusal.WRONG_STATE, Refusal.ALREADY_PAID}


# --- Refunding ----------------------------------------------------------------------------------------------


def find_refund(stage: Stage, number: str = "CONTRACT1R1") -> RefundMovement | None:
    return stage.gateway.find_refund("CONTRACT1", number)


def is_found(stage: Stage, amount: str) -> bool:
    found = find_refund(stage)
    assert found is None or (found.number, found.amount) == ("CONTRACT1R1", Decimal(amount))
    return found is not None


def test_refund_proves_itself_and_an_identical_repeat_moves_nothing(stage: Stage, paid: TradeReport) -> None:
    assert stage.gateway.refund(refund_of("5.00")) is True
    for _ in range(2):
        stage.gateway.refund(refund_of("5.00"))  # proves nothing; the query does
        assert is_found(stage, "5.00")
    assert stage.gateway.refund(refund_of("14.90", "CONTRACT1R2")) is True
    report = stage.gateway.query(paid.out_trade_no)
    assert report is not None
    assert (report.status, report.paid_at) == (TradeStatus.CLOSED, paid.paid_at)


def test_same_number_with_another_amount_is_refused(stage: Stage, paid: TradeReport) -> None:
    stage.gateway.refund(refund_of("5.00"))
    with pytest.raises(GatewayRejected) as refusal:
        stage.gateway.refund(refund_of("6.00"))
    assert (refusal.value.refusal, refusal.value.is_final) == (Refusal.REFUND_DISCORDANT, True)
    assert is_found(stage, "5.00")


def test_more_than_was_paid_is_refused(stage: Stage, paid: TradeReport) -> None:
    with pytest.raises(GatewayRejected):
        stage.gateway.refund(refund_of("19.91"))
    stage.gateway.refund(refund_of("19.00"))
    with pytest.raises(GatewayRejected) as refusal:
        stage.gateway.refund(refund_of("0.91", "CONTRACT1R2"))
    assert (refusal.value.refusal, refusal.value.is_final) == (Refusal.REFUND_OVER_AMOUNT, True)


def test_unpaid_trade_is_not_refunded(stage: Stage, intent: PaymentIntent) -> None:
    stage.show_up(Product.PAGE, intent, stage.gateway.page_url(intent))
    with pytest.raises(GatewayRejected) as refusal:
        stage.gateway.refund(refund_of("1.00"))
    assert refusal.value.refusal is Refusal.WRONG_STATE


def test_refund_that_was_never_sent_is_not_done(stage: Stage, paid: TradeReport) -> None:
    assert find_refund(stage) is None


def test_accepted_refund_is_not_done(stage: Stage, paid: TradeReport) -> None:
    stage.hold_next_refund(paid.out_trade_no)
    assert stage.gateway.refund(refund_of("5.00")) is False
    assert find_refund(stage) is None
    stage.pass_time(61)
    assert is_found(stage, "5.00")


def test_lost_answer_is_unknown_and_a_query_tells(stage: Stage, paid: TradeReport) -> None:
    stage.lose_next_answer(paid.out_trade_no)
    with pytest.raises(GatewayUnreachable):
        stage.gateway.refund(refund_of("5.00"))
    assert is_found(stage, "5.00")


def test_refund_that_the_shop_did_not_make_is_found_by_its_number(stage: Stage, paid: TradeReport) -> None:
    stage.notification(1)
    stage.refund_elsewhere(paid.out_trade_no, "5.00", "CONSOLE77")
    found = find_refund(stage, "CONSOLE77")
    assert found is not None
    assert (found.number, found.amount) == ("CONSOLE77", Decimal("5.00"))
    assert found.at is None or found.at.utcoffset() is not None
    assert find_refund(stage) is None
    report = stage.notification(2).verified_by(stage.gateway).report
    assert (report.refunded, [movement.number for movement in report.movements]) == (
        Decimal("5.00"),
        ["CONSOLE77"],
    )


def test_refunds_of_the_shop_and_of_others_add_up_and_keep_their_numbers(
    stage: Stage, paid: TradeReport
) -> None:
    stage.refund_elsewhere(paid.out_trade_no, "5.00", "CONSOLE77")
    stage.notification(2)
    assert stage.gateway.refund(refund_of("4.00")) is True
    report = stage.notification(3).verified_by(stage.gateway).report
    assert (report.refunded, [movement.number for movement in report.movements]) == (
        Decimal("9.00"),
        ["CONTRACT1R1"],
    )
    with pytest.raises(GatewayRejected) as refusal:
        stage.gateway.refund(refund_of("10.91", "CONTRACT1R2"))
    assert refusal.value.refusal is Refusal.REFUND_OVER_AMOUNT


def test_trade_that_was_fully_refunded_elsewhere_is_closed_and_was_paid(
    stage: Stage, paid: TradeReport
) -> None:
    stage.refund_elsewhere(paid.out_trade_no, "19.90", "CONSOLE77")
    report = stage.gateway.query(paid.out_trade_no)
    assert report is not None
    assert (report.status, report.paid_at) == (TradeStatus.CLOSED, paid.paid_at)
    with pytest.raises(GatewayRejected) as refusal:
        stage.gateway.refund(refund_of("1.00"))
    assert (refusal.value.refusal, refusal.value.is_final) == (Refusal.TRADE_CLOSED, True)


# --- Messages from the provider -----------------------------------------------------------------------------


def test_notification_proves_the_trade(stage: Stage, paid: TradeReport) -> None:
    notice = stage.notification(1).verified_by(stage.gateway)
    report = notice.report
    assert (report.out_trade_no, report.trade_no, report.status, report.total_amount) == (
        paid.out_trade_no, paid.trade_no, TradeStatus.PAID, AMOUNT,
    )  # fmt: skip
    assert (report.app_id, report.seller_id) == (stage.gateway.app_id, stage.gateway.seller_id)
    assert (report.refunded, report.movements, report.is_current) == (Decimal(0), (), False)
    assert (notice.provider, len(notice.facts_key)) == (stage.gateway.name, 64)
    assert notice.notice_id
    assert notice.verified_by
    assert notice.status_text


def test_notification_of_a_partial_refund_has_its_amount(stage: Stage, paid: TradeReport) -> None:
    stage.gateway.refund(refund_of("5.00"))
    report = stage.notification(2).verified_by(stage.gateway).report
    assert (report.status, report.refunded) == (TradeStatus.PAID, Decimal("5.00"))
    assert [movement.number for movement in report.movements] == ["CONTRACT1R1"]


def test_tampered_notification_is_refused_whatever_the_field(stage: Stage, paid: TradeReport) -> None:
    message = stage.notification(1)
    for changed in stage.tampered(message):
        with pytest.raises(InvalidSignature):
            changed.verified_by(stage.gateway)
    message.verified_by(stage.gateway)


def test_return_names_the_trade_and_cannot_be_forged(stage: Stage, intent: PaymentIntent) -> None:
    form = stage.way_back(intent, stage.gateway.page_url(intent))
    assert stage.gateway.verify_return(form) == intent.out_trade_no
    with pytest.raises(InvalidSignature):
        stage.gateway.verify_return(form | {"out_trade_no": "CONTRACT2"})


# --- Bills --------------------------------------------------------------------------------------------------


def test_bill_of_a_past_day_is_a_zip_and_there_is_none_for_a_day_without_trades(
    stage: Stage, paid: TradeReport
) -> None:
    assert paid.paid_at is not None
    day = paid.paid_at.astimezone(BEIJING).date()
    stage.pass_time(2 * 24 * 3600)
    archive = stage.gateway.download_bill(day)
    assert archive[:4] == b"PK\x03\x04"
    [row] = stage.gateway.read_bill(archive)
    assert (row.kind, row.trade_no, row.out_trade_no, row.out_request_no, row.amount) == (
        BillRowKind.TRADE, paid.trade_no, paid.out_trade_no, "", paid.total_amount,
    )  # fmt: skip
    with pytest.raises(GatewayRejected) as refusal:
        stage.gateway.download_bill(day - timedelta(days=3))
    assert refusal.value.refusal is Refusal.NO_BILL


def test_bill_has_refunds_and_is_not_ready_on_its_own_day(stage: Stage, paid: TradeReport) -> None:
    assert paid.paid_at is not None
    day = paid.paid_at.astimezone(BEIJING).date()
    stage.gateway.refund(refund_of("5.00"))
    with pytest.raises(GatewayRejected) as refusal:
        stage.gateway.download_bill(day)
    assert (refusal.value.refusal, refusal.value.is_final) == (Refusal.NO_BILL, False)
    stage.pass_time(2 * 24 * 3600)
    rows = list(stage.gateway.read_bill(stage.gateway.download_bill(day)))
    assert [(row.kind, row.out_request_no, row.amount) for row in rows] == [
        (BillRowKind.TRADE, "", paid.total_amount), (BillRowKind.REFUND, "CONTRACT1R1", Decimal("5.00")),
    ]  # fmt: skip


# --- Several apps -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    provider: str
    app_id: str


@pytest.fixture
def gateways(stage: Stage) -> ConfiguredGateways:
    """The shop has changed its app while attempts of the former one were open."""
    return ConfiguredGateways(stage.gateway, stage.other)


def attempt_of(gateway: Gateway) -> Any:
    return Attempt(gateway.name, gateway.app_id)


def test_attempt_is_queried_and_refunded_with_its_own_app(
    stage: Stage, gateways: ConfiguredGateways, intent: PaymentIntent
) -> None:
    stage.pay(Product.PAGE, intent, stage.other.page_url(intent))
    own = gateways.gateway_for(attempt_of(stage.other))
    report = own.query(intent.out_trade_no)
    assert report is not None
    assert (report.status, report.app_id) == (TradeStatus.PAID, stage.other.app_id)
    assert own.refund(refund_of("5.00")) is True
    # The current app never made this trade.
    assert gateways.current.query(intent.out_trade_no) is None
    assert gateways.current.app_id != own.app_id
    with pytest.raises(GatewayRejected) as refusal:
        gateways.current.refund(refund_of("1.00", "CONTRACT1R2"))
    assert refusal.value.refusal is Refusal.UNKNOWN_TRADE


def test_notification_of_a_former_app_is_proven_with_that_apps_keys(
    stage: Stage, gateways: ConfiguredGateways, intent: PaymentIntent
) -> None:
    stage.pay(Product.PAGE, intent, stage.other.page_url(intent))
    message = stage.notification(1)
    notice = gateways.verify_notification(stage.other.name, message.headers, message.body)
    assert (notice.report.app_id, notice.report.seller_id) == (stage.other.app_id, stage.other.seller_id)
    for keys in (ConfiguredGateways(stage.gateway), ConfiguredGateways(stage.gateway, stage.gateway)):
        with pytest.raises(InvalidSignature):
            keys.verify_notification(stage.other.name, message.headers, message.body)


def test_one_number_at_two_apps_is_two_trades(
    stage: Stage, gateways: ConfiguredGateways, intent: PaymentIntent
) -> None:
    stage.pay(Product.PAGE, intent, stage.other.page_url(intent))
    stage.show_up(Product.PAGE, intent, stage.gateway.page_url(intent))
    reports = [
        gateways.gateway_for(attempt_of(gateway)).query(intent.out_trade_no)
        for gateway in (stage.gateway, stage.other)
    ]
    assert [report and report.status for report in reports] == [TradeStatus.WAITING, TradeStatus.PAID]


# --- Nobody there -------------------------------------------------------------------------------------------


def calls(intent: PaymentIntent) -> dict[str, Callable[[Gateway], Any]]:
    return {
        "query": lambda gateway: gateway.query(intent.out_trade_no),
        "close": lambda gateway: gateway.close(intent.out_trade_no),
        "create_qr": lambda gateway: gateway.create_qr(intent),
        "refund": lambda gateway: gateway.refund(refund_of("5.00")),
        "find_refund": lambda gateway: gateway.find_refund("CONTRACT1", "CONTRACT1R1"),
        "download_bill": lambda gateway: gateway.download_bill(intent.expires_at.date()),
    }


@pytest.mark.parametrize("call", ["query", "close", "create_qr", "refund", "find_refund", "download_bill"])
def test_outage_is_unreachable_and_never_a_refusal(stage: Stage, intent: PaymentIntent, call: str) -> None:
    with pytest.raises(GatewayUnreachable):
        calls(intent)[call](stage.unreachable)


@pytest.mark.parametrize("product", [Product.PAGE, Product.WAP, Product.APP])
def test_offers_need_no_network(stage: Stage, intent: PaymentIntent, product: Product) -> None:
    assert offer_of(stage.unreachable, product, intent)


def test_providers_are_complete(stage: Stage) -> None:
    assert isinstance(stage.gateway.name, str)
    assert httpx.URL(
        stage.gateway.page_url(PaymentIntent("X1", AMOUNT, "x", datetime.now(BEIJING)))
    ).scheme in {"http", "https"}
