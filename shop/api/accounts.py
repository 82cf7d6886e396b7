"""`auth/register/`, `auth/password/` and `auth/profile/`: a buyer's own account."""

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop import clock
from shop.api.auth import LoginOutput
from shop.api.authentication import account_of
from shop.api.fields import Input, TextField
from shop.client_address import client_address, client_network
from shop.domain.accounts import own_account
from shop.models import Account

# The addresses that occur in practice; Django's own validator accepts all of them. Blank means none.
_EMAIL = RegexValidator(
    r"^([A-Za-z0-9_+]{1,32}([.\-][A-Za-z0-9_+]{1,16}){0,4}@([A-Za-z0-9]{1,20}(-[A-Za-z0-9]{1,20}){0,2}\.){1,4}[A-Za-z]{2,24})?\Z",
    gettext_lazy("请填写正确的邮箱。"),
)
_PHONE = RegexValidator(r"^(\+?[0-9]{6,15})?\Z", gettext_lazy("请填写 6 到 15 位数字，可以 + 开头。"))
# Latin letters and Chinese characters only: letters of other scripts could imitate somebody else's name.
_USERNAME = RegexValidator(
    r"^[0-9A-Za-z_.@+\-\u4e00-\u9fff]{1,50}\Z", gettext_lazy("用户名只能含汉字、英文字母、数字和 _ . @ + -。")
)


class ContactInput(Input):
    email = TextField(max_length=254, allow_blank=True, required=False, default="", validators=[_EMAIL])
    phone = TextField(
        max_length=16,
        allow_blank=True,
        required=False,
        default="",
        validators=[_PHONE],
        help_text="数字，可以 + 开头",
    )


class RegisterInput(ContactInput):
    username = TextField(max_length=50, trim_whitespace=False, validators=[_USERNAME])
    password = TextField(max_length=128, trim_whitespace=False)


class PasswordInput(Input):
    old_password = TextField(max_length=128, trim_whitespace=False)
    password = TextField(max_length=128, trim_whitespace=False)


class ProfileOutput(serializers.ModelSerializer[Account]):
    class Meta:
        model = Account
        fields = ["username", "email", "phone"]


class RegisterView(APIView):
    """Creates an account."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(request=RegisterInput, responses={201: ProfileOutput}, auth=[])
    def post(self, request: Request) -> Response:
        """Available only with `REGISTRATION_OPEN`. Doesn't log in."""
        data = RegisterInput.read(request.data)
        account = own_account.register(
            **data, address=client_network(client_address(request)), now=clock.now()
        )
        return Response(ProfileOutput(account).data, status=status.HTTP_201_CREATED)


class PasswordView(APIView):
    """Changes the password."""

    @extend_schema(request=PasswordInput, responses=LoginOutput)
    def post(self, request: Request) -> Response:
        """Revokes every token of the account, including this one, and returns a new one."""
        data = PasswordInput.read(request.data)
        row, token = own_account.change_password(
            account_id=account_of(request).pk, **data, now=clock.database_now()
        )
        return Response(
            LoginOutput({"token": token, "expiry": row.expiry, "username": account_of(request).username}).data
        )


class ProfileView(APIView):
    """The buyer's name and contact details."""

    @extend_schema(responses=ProfileOutput)
    def get(self, request: Request) -> Response:
        return Response(ProfileOutput(account_of(request)).data)

    @extend_schema(request=ContactInput, responses=ProfileOutput)
    def put(self, request: Request) -> Response:
        data = ContactInput.read(request.data)
        return Response(
            ProfileOutput(own_account.change_contact(account_id=account_of(request).pk, **data)).data
        )
