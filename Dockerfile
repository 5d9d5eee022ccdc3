FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir -c constraints.txt --wheel-dir /wheels '.[postgres]'

FROM python:3.13-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links /wheels 'switchboard-omnichannel[postgres]' \
    && rm -rf /wheels && useradd --create-home switchboard \
    && install -d -o switchboard /var/lib/switchboard
USER switchboard
ENTRYPOINT ["switchboard"]
CMD ["run"]
