"""The sign-in form."""

from django import forms


class SignInForm(forms.Form):
    """Name and password, as typed; nothing is trimmed from a password."""

    username = forms.CharField(label="Username", max_length=150)
    password = forms.CharField(label="Password", max_length=4096, strip=False)
